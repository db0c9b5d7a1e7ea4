package frameworks

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// OwnBinary is the program that is running: the framework's own binary, which
// agents fetch to supervise its servers.
type OwnBinary struct {
	name string
	hash string // SHA-256 of the content, in hex
	size int64
	// content stays open, so that what is served is what was hashed, even
	// when the file is replaced while the scheduler runs.
	content *os.File
	// token is part of the path, so that only those find it who were told.
	token string
}

// OpenOwnBinary opens the program that is running. Close it when it need not
// be served any more.
func OpenOwnBinary() (*OwnBinary, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("own binary: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("own binary: %w", err)
	}
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("own binary: %w", err)
	}
	return &OwnBinary{name: filepath.Base(path), hash: hex.EncodeToString(sum.Sum(nil)), size: size, content: file}, nil
}

// Close ends serving.
func (b *OwnBinary) Close() error { return b.content.Close() }

const binaryPrefix = "/v1/binary/"

func (b *OwnBinary) path() string {
	if b.token != "" {
		return binaryPrefix + b.token + "/" + b.hash + "/" + b.name
	}
	return binaryPrefix + b.hash + "/" + b.name
}

// Guard serves the binary only to those who know a word that follows from the
// token: the tasks that are launched from then on. Schedulers with the same token
// and binary serve each other's tasks.
func (b *OwnBinary) Guard(token string) { b.token = derived(token, "binary "+b.hash) }

// At is the binary as agents fetch it when b is served under a base URL, such
// as "http://10.0.0.7:7000", that every agent can reach.
func (b *OwnBinary) At(base string) Binary {
	return Binary{URI: strings.TrimSuffix(base, "/") + b.path(), SHA256: b.hash}
}

// ServeHTTP serves the content under /v1/binary/<sha256>/<name>, with the word of
// Guard before the hash, and nothing else: a program of another hash is another
// program.
func (b *OwnBinary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(b.path())) != 1 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, b.name, time.Time{}, io.NewSectionReader(b.content, 0, b.size))
}
