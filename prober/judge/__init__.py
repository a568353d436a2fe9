"""Facts to opinion: certificates, trust, the verdict of a differential. Pure; the time is an argument.

der.py, x509.py, names.py, general_names.py
                            what a certificate says, read tolerantly: one malformed extension does not lose the rest
certificates.py             the facts that people see, cached by content
identity.py                 does a certificate cover a name? (RFC 9525)
trust.py, paths.py          trust anchors, and certification paths from a presented chain to them (RFC 5280 section 6)
signing.py                  is a certificate signed by a key?
name_constraints.py         may an authority issue for a name?
chains.py, problems.py      all problems of a presented chain at a time, and which there are
answers.py                  what one hello was answered with, as far as it decides
signatures.py               which product behaves like this, and whose default certificate this is
verdicts.py, summaries.py   the judgement of one differential, and its one sentence
repeats.py, disagreement.py does it say what the one before it said, and what those of the target's other addresses say?
alert_rules.py, alerting.py what one round says about each alert, and what becomes of alerts
"""
