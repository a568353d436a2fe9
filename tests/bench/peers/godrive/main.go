// Asks a blackbox_exporter for probes: so many at the same time, or so many a second.
//
//	godrive -exporter URL -concurrency N -total T [-rate R] TARGET...
//
// A TARGET is "HOST:PORT=0" or "HOST:PORT=1": what probe_success must be. They are asked for in turn. Prints
// {"outcomes": {"1": N, "0": N, "wrong": N}, "seconds": S}.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	exporter := flag.String("exporter", "", "URL of the exporter")
	concurrency := flag.Int("concurrency", 1, "requests in flight")
	total := flag.Int64("total", 1, "requests")
	rate := flag.Float64("rate", 0, "requests a second (0: as fast as they are answered)")
	flag.Parse()

	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *concurrency, DisableCompression: true}}
	var started, up, down, wrong atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for worker := 0; worker < *concurrency; worker++ { // Debian has Go 1.19, which cannot range over a number
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				number := started.Add(1) - 1
				if number >= *total {
					return
				}
				if *rate > 0 {
					time.Sleep(time.Until(begin.Add(time.Duration(float64(number) / *rate * 1e9))))
				}
				target, expected, _ := strings.Cut(flag.Arg(int(number)%flag.NArg()), "=")
				success, err := probe(&client, *exporter, target)
				switch {
				case err != nil || success != expected:
					if wrong.Add(1) == 1 {
						fmt.Fprintln(os.Stderr, target, success, err)
					}
				case success == "1":
					up.Add(1)
				default:
					down.Add(1)
				}
			}
		}()
	}
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"outcomes": map[string]int64{"1": up.Load(), "0": down.Load(), "wrong": wrong.Load()},
		"seconds":  time.Since(begin).Seconds(),
	})
}

func probe(client *http.Client, exporter, target string) (string, error) {
	answer, err := client.Get(exporter + "/probe?module=tls&target=" + url.QueryEscape(target))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	_, rest, _ := bytes.Cut(text, []byte("\nprobe_success "))
	value, _, _ := bytes.Cut(rest, []byte("\n"))
	return string(value), err
}
