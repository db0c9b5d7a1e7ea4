package mesostest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// certificate is one for 127.0.0.1, and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mesos"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	c := New(t, Agents(1, "cpus:1;mem:256;disk:256"), Configure(func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}))
	c.Run(t, scheduler.HandlerFunc(keepOne), func(c *scheduler.Config) { c.TLS = &tls.Config{RootCAs: pool} })
	c.WaitRunning(t, 1)

	trusting := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}}
	resp, err := trusting.Get(c.URL() + "/state")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Proto != "HTTP/1.1" {
		t.Errorf("/state: %s by %s, want 200 by HTTP/1.1", resp.Status, resp.Proto)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Get(c.URL() + "/state"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("who does not trust the certificate gets %v", err)
	}
	if status, _, _ := get(t, "http://"+c.Master()+"/state"); status != http.StatusBadRequest {
		t.Errorf("without TLS: %d, want 400", status)
	}
}

// The nodes in ZooKeeper do not say how masters are spoken to: a scheduler's
// configuration does, and it follows them from leader to leader.
func TestTLSOverFailover(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	c, _ := elected(t, 1, Agents(2, "cpus:1;mem:256;disk:256"), Configure(func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}))
	c.Run(t, scheduler.HandlerFunc(keepOne), func(c *scheduler.Config) { c.TLS = &tls.Config{RootCAs: pool} })
	c.WaitRunning(t, 1)
	c.StopMaster()
	if got := c.WaitLeader(t); got != c.Masters()[1] {
		t.Fatalf("%s leads, want the standby", got.Address())
	}
	c.WaitAgents(t, 2)
	c.WaitRunning(t, 1)
	first := c.Tasks()[0]
	for _, a := range c.Agents() {
		if a.ID() == first.AgentID {
			a.Stop() // the next task needs a scheduler that found the leader
		}
	}
	c.wait(t, func() bool {
		x, ok := c.Task("one.2")
		return ok && x.AgentID != first.AgentID
	}, func() string { return "the task is not replaced" })
}

func TestTLSWithoutCertificate(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Config{TLS: &tls.Config{}})
	if err == nil {
		t.Fatal("no error", c.Close())
	}
	if !strings.Contains(err.Error(), "TLS has no certificate") {
		t.Errorf("got %q", err)
	}
}
