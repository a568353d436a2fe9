// What Go's crypto/tls spends on a handshake, complete or stopped at the certificate.
//
//	goclient -port P -concurrency N -total T -name NAME [-stop]
//
// Connects to 127.0.0.1 ... 127.0.0.200 in turn and closes abortively. X25519 and P-256, as the other contenders offer them: Go's
// own default adds an ML-KEM share and would be dearer. The certificate is not verified. Prints
// {"outcomes": {"certificate": N, "reset": N, "other": N}, "seconds": S}.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var errStop = errors.New("the certificate was read")

func main() {
	port := flag.Int("port", 0, "port")
	concurrency := flag.Int("concurrency", 1, "handshakes in flight")
	total := flag.Int64("total", 1, "handshakes")
	name := flag.String("name", "", "server name")
	stop := flag.Bool("stop", false, "stop at the certificate")
	flag.Parse()

	config := &tls.Config{
		ServerName:         *name,
		InsecureSkipVerify: true,
		CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256},
	}
	if *stop {
		config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errStop }
	}
	var started, certificates, resets, others atomic.Int64
	var group sync.WaitGroup
	dialer := net.Dialer{KeepAlive: -1}
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
				err := handshake(&dialer, fmt.Sprintf("127.0.0.%d:%d", number%200+1, *port), config)
				switch {
				case err == nil || errors.Is(err, errStop):
					certificates.Add(1)
				case errors.Is(err, syscall.ECONNRESET):
					resets.Add(1)
				default:
					if others.Add(1) == 1 {
						fmt.Fprintln(os.Stderr, err)
					}
				}
			}
		}()
	}
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"outcomes": map[string]int64{"certificate": certificates.Load(), "reset": resets.Load(), "other": others.Load()},
		"seconds":  time.Since(begin).Seconds(),
	})
}

func handshake(dialer *net.Dialer, address string, config *tls.Config) error {
	connection, err := dialer.DialContext(context.Background(), "tcp4", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.(*net.TCPConn).SetLinger(0)
	connection.SetDeadline(time.Now().Add(time.Minute))
	return tls.Client(connection, config).Handshake()
}
