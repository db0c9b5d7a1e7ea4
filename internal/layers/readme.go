package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Readme compiles each Go block of README.md as a package by itself, in a module
// that requires this one, as a reader's would: it cannot import internal packages.
// A block is a whole file; one of a _test package is compiled as a test.
func Readme(ctx context.Context, t Tree) ([]Breach, error) {
	text, err := os.ReadFile(filepath.Join(t.root, "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		return []Breach{{"README.md", 0, "is missing"}}, nil
	}
	if err != nil {
		return nil, err
	}
	module, err := os.MkdirTemp("", "mesokit-readme-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(module)
	if err := readersModule(t.root, module); err != nil {
		return nil, err
	}
	var all []Breach
	blocks := goBlocks(string(text))
	for _, b := range blocks {
		name := packageClause.FindStringSubmatch(b.text)
		if name == nil {
			all = append(all, Breach{"README.md", b.line, "a Go block must be a whole file that begins with a package clause"})
			continue
		}
		file := "block.go"
		if strings.HasSuffix(name[1], "_test") {
			file = "block_test.go"
		}
		dir := filepath.Join(module, "line"+strconv.Itoa(b.line))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		// Errors then give the place in the README.
		src := fmt.Sprintf("//line /README.md:%d\n%s", b.line, b.text)
		if err := os.WriteFile(filepath.Join(dir, file), []byte(src), 0o644); err != nil {
			return nil, err
		}
	}
	if len(all) == len(blocks) {
		return all, nil
	}
	found, err := vet(ctx, module)
	return append(all, found...), err
}

var packageClause = regexp.MustCompile(`(?m)^package (\w+)$`)

type block struct {
	line int // of its first line, from 1
	text string
}

// goBlocks returns what stands between lines ```go and ```.
func goBlocks(markdown string) []block {
	var all []block
	inside := false
	line := 0
	for text := range strings.Lines(markdown) {
		line++
		switch fence := strings.TrimSpace(text); {
		case inside && fence == "```":
			inside = false
		case inside:
			all[len(all)-1].text += text
		case fence == "```go":
			inside = true
			all = append(all, block{line: line + 1})
		}
	}
	return all
}

var moduleClause = regexp.MustCompile(`(?m)^module .*$`)

// readersModule writes the go.mod and go.sum of a module that requires the one
// in root, at the versions that it has chosen.
func readersModule(root, dir string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	reader := moduleClause.ReplaceAllString(string(mod), "module reader")
	reader += fmt.Sprintf("\nrequire %[1]s v0.0.0\nreplace %[1]s => %[2]s\n", Module, strconv.Quote(root))
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(reader), 0o644); err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if errors.Is(err, fs.ErrNotExist) { // a module that requires nothing has none
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644)
}

var position = regexp.MustCompile(`^(?:vet: )?\S*README\.md:(\d+)(?::\d+)?: (.*)$`)

// vet compiles the packages of the reader's module and looks for common mistakes.
func vet(ctx context.Context, module string) ([]Breach, error) {
	cmd := exec.CommandContext(ctx, "go", "vet", "./...")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	var all []Breach
	for line := range strings.Lines(string(out)) {
		m := position.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		all = append(all, Breach{"README.md", n, m[2]})
	}
	if all == nil { // what it says is not about the blocks
		return nil, fmt.Errorf("go vet of the README's blocks: %w\n%s", err, out)
	}
	return all, nil
}
