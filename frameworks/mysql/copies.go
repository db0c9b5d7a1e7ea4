package mysql

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/executor"
)

// MariaDB has no clone plugin: its physical backup is a program beside the
// server. So the executor of each member hands out copies of it, to whoever
// knows the operator's secret and proves that to each other: both derive the
// same key from it.

// What is asked for: a copy, and whether the binary logs reach back to the
// beginning, "true" or "false".
const (
	copyPath  = "/copy"
	wholePath = "/whole"
)

// mutual is how the two ends of a copy know each other.
func mutual(secret string) (*tls.Config, error) {
	seed := sha256.Sum256([]byte("mesokit mysql copies " + secret))
	key := ed25519.NewKeyFromSeed(seed[:])
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // VerifyConnection does
		VerifyConnection: func(c tls.ConnectionState) error {
			if !key.Public().(ed25519.PublicKey).Equal(c.PeerCertificates[0].PublicKey) {
				return errors.New("who is there does not know the secret of the set")
			}
			return nil
		},
	}, nil
}

// offerCopies hands out copies of this member from now on, for as long as its
// executor lives: so it listens, and returns.
func offerCopies(_ context.Context, s executor.Sandbox) error {
	password, err := secret(s, operatorSecret)
	if err != nil {
		return err
	}
	config, err := mutual(password)
	if err != nil {
		return err
	}
	env := environment(s)
	address := net.JoinHostPort(env["HOST"], env["PORT_"+strings.ToUpper(copiesPort)])
	listener, err := tls.Listen("tcp", address, config)
	if err != nil {
		return err
	}
	program := filepath.Join(env[envBase], "bin", "mariadb-backup")
	copier, err := backupConfig(s, env, password)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	handler := copies{s: s, command: []string{
		program, "--defaults-file=" + copier, "--backup", "--stream=xbstream",
		"--target-dir=" + filepath.Join(s.Dir, temporaryDir, "backup"),
	}}
	go func() { _ = http.Serve(listener, &handler) }() // until the process ends
	return nil
}

// backupConfig writes the options of the backup program: those of the server,
// and how to log in.
func backupConfig(s executor.Sandbox, env map[string]string, password string) (string, error) {
	path := filepath.Join(s.Dir, secretsDir, "backup.cnf")
	text := fmt.Sprintf("!include %s\n[mariadb-backup]\nuser=%s\npassword=%s\nhost=%s\nport=%s\n",
		filepath.Join(s.Dir, configFile), operator, password, env["HOST"], env["PORT_"+strings.ToUpper(port)])
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// copies hands them out, one at a time.
type copies struct {
	s       executor.Sandbox
	command []string
	busy    sync.Mutex
}

func (c *copies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == wholePath {
		fmt.Fprint(w, c.whole())
		return
	}
	if !c.busy.TryLock() {
		http.Error(w, "another copy is being made", http.StatusServiceUnavailable)
		return
	}
	defer c.busy.Unlock()
	// It may hang where the server does, and the server's end is its end.
	cmd := exec.CommandContext(r.Context(), c.command[0], c.command[1:]...)
	cmd.Env, cmd.Dir = c.s.Env, c.s.Dir
	var said tailOf
	sent := counted{to: w}
	cmd.Stdout, cmd.Stderr = &sent, &said
	switch err := cmd.Run(); {
	case err == nil:
	case sent.n == 0:
		http.Error(w, fmt.Sprintf("mariadb-backup: %v: %s", err, said.last()), http.StatusInternalServerError)
	default:
		panic(http.ErrAbortHandler) // so that the other end does not take it for whole
	}
}

// whole says whether the first binary log of all is there, and is not that of a
// member that was a copy itself.
func (c *copies) whole() bool {
	dir := filepath.Join(c.s.Dir, dataDir)
	_, err := os.Stat(filepath.Join(dir, "binlog.000001"))
	_, copied := os.Stat(filepath.Join(dir, copiedFrom))
	return err == nil && errors.Is(copied, fs.ErrNotExist)
}

// copiedFrom is a file of every copy.
const copiedFrom = "xtrabackup_binlog_info"

type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// tailOf keeps the end of what a program says.
type tailOf struct{ buffer bytes.Buffer }

func (t *tailOf) Write(p []byte) (int, error) {
	t.buffer.Write(p)
	if extra := t.buffer.Len() - 4096; extra > 0 {
		t.buffer.Next(extra)
	}
	return len(p), nil
}

func (t *tailOf) last() string {
	lines := strings.Split(strings.TrimSpace(t.buffer.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// ask asks a member's executor for something.
func ask(ctx context.Context, m maker, from donor, path string) (*http.Response, error) {
	password, err := secret(m.Sandbox, operatorSecret)
	if err != nil {
		return nil, err
	}
	config, err := mutual(password)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+from.copies+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
		return nil, errors.Join(fmt.Errorf("%s: %s", response.Status, text), err)
	}
	return response, nil
}

// fetchCopy unpacks a copy of a donor into dir, which is there.
func fetchCopy(ctx context.Context, m maker, from donor, dir string) error {
	response, err := ask(ctx, m, from, copyPath)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	whole := &untilError{from: response.Body}
	cmd := exec.CommandContext(ctx, filepath.Join(m.env[envBase], "bin", "mbstream"), "-x", "-C", dir)
	cmd.Env, cmd.Dir, cmd.Stdin = m.Env, m.Dir, whole
	var said tailOf
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mbstream: %w: %s", err, said.last())
	}
	return whole.err
}

// untilError reads to the end, and keeps why that came too early.
type untilError struct {
	from io.Reader
	err  error
}

func (u *untilError) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if err != nil && err != io.EOF {
		u.err = err
	}
	return n, err
}
