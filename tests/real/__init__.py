"""prober against real server programs, held to what independent clients saw of the same servers."""
