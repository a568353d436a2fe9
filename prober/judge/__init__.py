"""Facts to opinion: certificates, trust, the verdict of a differential. Pure; the time is an argument.

der.py, x509.py, names.py   what a certificate says, read tolerantly: one malformed extension does not lose the rest
certificates.py             the facts that people see, cached by content
identity.py                 does a certificate cover a name? (RFC 9525)
trust.py, paths.py          trust anchors, and certification paths from a presented chain to them (RFC 5280 section 6)
chains.py                   all problems of a presented chain at a time
signatures.py               which product behaves like this, and whose default certificate this is
verdicts.py, summaries.py   the judgement of one differential, and its one sentence
"""
