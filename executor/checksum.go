package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// A Checksum is what a file must be that was fetched into the sandbox. It is
// checked before anything else: where the file is another, the task fails.
type Checksum struct {
	// Path is as File.Path.
	Path string `json:"path"`
	// SHA256 is that of the whole file, in lower-case hex.
	SHA256 string `json:"sha256"`
}

func (c Checksum) validate() error {
	if err := validateFile(c.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if sum, err := hex.DecodeString(c.SHA256); err != nil || len(sum) != sha256.Size || hex.EncodeToString(sum) != c.SHA256 {
		return fmt.Errorf("sha256 %q: want 64 hexadecimal digits in lower case", c.SHA256)
	}
	return nil
}

func (p places) verify(ctx context.Context, c Checksum) error {
	root, rest, err := p.root(c.Path)
	if err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	defer root.Close()
	file, err := root.Open(rest)
	if err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, untilDone{ctx, file}); err != nil {
		return fmt.Errorf("checksum: %s: %w", c.Path, err)
	}
	if is := hex.EncodeToString(sum.Sum(nil)); is != c.SHA256 {
		return fmt.Errorf("checksum: %s has SHA-256 %s, and should have %s: it is not what was to be fetched", c.Path, is, c.SHA256)
	}
	return nil
}

// untilDone reads until its context is done.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (r untilDone) Read(b []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.from.Read(b)
}
