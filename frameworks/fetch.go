package frameworks

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/mesokit/mesokit/executor"
)

// URI is a file that Mesos's fetcher brings into the sandbox before a task
// starts: a server's distribution, a plug-in.
type URI struct {
	// Value is where it comes from: http, https, ftp, file, hdfs, or whatever else
	// the agents' fetchers know; or an absolute path on the agents.
	Value string `json:"value"`
	// SHA256 is that of the file, in hex. Nothing of the task starts on an agent
	// where the file is another. Only a Task is checked: Mesos's own executor,
	// which a Command has, looks at nothing. A file that is both extracted and
	// cached cannot be, because Mesos does not leave it in the sandbox.
	SHA256 string `json:"sha256,omitempty"`
	// Extract unpacks an archive (.tar, .tar.gz, .zip, …) in the sandbox.
	Extract bool `json:"extract,omitempty"`
	// Executable gives it the permission to be run.
	Executable bool `json:"executable,omitempty"`
	// Cache keeps it in the agent's own cache, for the next task that wants it.
	Cache bool `json:"cache,omitempty"`
	// File is its name in the sandbox; empty: the last part of Value.
	File string `json:"file,omitempty"`
}

// file is its name in the sandbox.
func (u URI) file() string {
	if u.File != "" {
		return u.File
	}
	if parsed, err := url.Parse(u.Value); err == nil && parsed.Path != "" {
		return path.Base(parsed.Path)
	}
	return path.Base(u.Value)
}

func (u URI) info() mesos.CommandInfo_URI {
	out := mesos.CommandInfo_URI{Value: u.Value, Extract: &u.Extract, Executable: &u.Executable, Cache: &u.Cache}
	if u.File != "" {
		out.OutputFile = &u.File
	}
	return out
}

func (p *Pod) uris() []mesos.CommandInfo_URI {
	var out []mesos.CommandInfo_URI
	for _, u := range p.Fetch {
		out = append(out, u.info())
	}
	return out
}

// checksums are what the executor has to check of what was fetched.
func (p *Pod) checksums() []executor.Checksum {
	var out []executor.Checksum
	for _, u := range p.Fetch {
		if u.SHA256 != "" {
			out = append(out, executor.Checksum{Path: u.file(), SHA256: strings.ToLower(u.SHA256)})
		}
	}
	return out
}

func (p *Pod) validateFetch(bad func(name string, value any, want string)) {
	for i, u := range p.Fetch {
		field := fmt.Sprintf("Fetch[%d]", i)
		if u.Value == "" || strings.ContainsAny(u.Value, "\\'\x00 \t\r\n") {
			bad(field+".Value", u.Value, "wants a URI or an absolute path, without quotes, backslashes or spaces")
		}
		if f := u.file(); f != path.Base(f) && !path.IsAbs(u.Value) || f == "." || f == "/" || f == ".." || strings.Contains(f, "..") || path.IsAbs(f) {
			bad(field+".File", u.File, "wants a name in the sandbox, such as \"server.tar.gz\"")
		}
		if slices.ContainsFunc(p.Fetch[:i], func(o URI) bool { return o.file() == u.file() }) {
			bad(field+".File", u.file(), "wants a name that nothing else that is fetched has")
		}
		if u.Extract && u.Executable {
			bad(field+".Executable", true, "wants either Extract or Executable")
		}
		if u.SHA256 == "" {
			continue
		}
		if sum, err := hex.DecodeString(u.SHA256); err != nil || len(sum) != 32 {
			bad(field+".SHA256", u.SHA256, "wants the SHA-256 of the file, 64 hexadecimal digits")
		}
		if p.Task == nil {
			bad(field+".SHA256", u.SHA256, "wants a Task: nobody checks what a Command is given")
		}
		if u.Extract && u.Cache {
			bad(field+".SHA256", u.SHA256, "wants Extract or Cache, not both: Mesos leaves no file to check")
		}
	}
}
