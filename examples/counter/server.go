package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// countFile is on the volume: the count outlives the server.
const countFile = "data/count"

// server counts visitors.
type server struct {
	greeting string

	mu    sync.Mutex
	count int // what countFile holds
}

// serve runs a server where its executor has put it.
func serve() error {
	greeting, err := os.ReadFile("greeting")
	if err != nil {
		return err
	}
	s := &server{greeting: string(greeting)}
	text, err := os.ReadFile(countFile)
	if err == nil {
		s.count, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", countFile, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /", s.visit)
	return http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT_HTTP")), mux)
}

// visit counts before it answers.
func (s *server) visit(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := keep(s.count + 1); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.count++
	fmt.Fprintf(w, "%s, visitor %d\n", s.greeting, s.count)
}

// keep writes the count so that a crash leaves the old one or the new one.
func keep(count int) error {
	file, err := os.Create(countFile + ".new")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, count)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(countFile+".new", countFile)
}
