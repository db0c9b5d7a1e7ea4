package quickstart

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mesokit/mesokit/executor"
	"github.com/mesokit/mesokit/frameworks"
	"github.com/mesokit/mesokit/scheduler/mesostest"
)

// Program is one quickstart.
type Program struct {
	// Executor is what the program needs to know when an agent starts it to
	// supervise a server.
	Executor executor.Config
	// Agents are those of the embedded Mesos.
	Agents []mesostest.AgentConfig
	// Declare obtains the servers, says so, and declares the service.
	Declare func(ctx context.Context, s *Stage) (*frameworks.Service, error)
	// Work waits for the service, works with it, breaks something, and counts.
	Work func(ctx context.Context, s *Stage) (Result, error)
	// Try are commands to try afterwards; each gets a flag --api.
	Try []string
}

// Agents describes n agents of equal resources, spread over racks by the
// attribute rack: r1, r2, ….
func Agents(n, racks int, resources string) []mesostest.AgentConfig {
	var out []mesostest.AgentConfig
	for i := range n {
		out = append(out, mesostest.AgentConfig{
			Resources:  resources,
			Attributes: fmt.Sprintf("rack:r%d", 1+i*racks/n),
		})
	}
	return out
}

// Main is the whole of a quickstart's main function. It returns when all went
// well, and else ends the process.
func Main(p Program) {
	executor.Main(p.Executor)
	once := flag.Bool("once", false, "end after what came back was counted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := p.run(ctx, os.Stdout, *once); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		stop()
		os.Exit(1)
	}
}

// run takes all the steps. It returns nil when ctx ends after they are done.
func (p Program) run(ctx context.Context, out io.Writer, once bool) (err error) {
	s := &Stage{say: newLines(out)}
	defer func() { err = errors.Join(err, s.end()) }()
	if s.Dir, err = os.MkdirTemp("", "mesokit-quickstart-"); err != nil {
		return err
	}
	s.Cleanup(func() error { return os.RemoveAll(s.Dir) })
	service, err := p.Declare(ctx, s)
	if err != nil {
		return err
	}
	// What ends the cluster is end, after the scheduler has ended.
	s.Mesos, err = mesostest.Start(context.WithoutCancel(ctx), mesostest.Config{Dir: s.Dir, Agents: p.Agents})
	if err != nil {
		return err
	}
	s.Cleanup(s.Mesos.Close)
	s.Say("mesos: a master at %s, %d agents in %d racks", s.Mesos.URL(), len(p.Agents), racks(p.Agents))
	serving, err := s.serve(ctx, service)
	if err != nil {
		return err
	}
	result, err := p.Work(serving, s)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case serving.Err() != nil:
		return nil // the scheduler has ended, and end says why
	case err != nil:
		return err
	}
	s.say.close()
	fmt.Fprintln(out, result)
	if result.Lost > 0 {
		return fmt.Errorf("lost: %d of %d that were acknowledged", result.Lost, result.Acknowledged)
	}
	if !once {
		p.invite(out, s)
		s.say.open(out)
		<-serving.Done()
	}
	return nil
}

func racks(agents []mesostest.AgentConfig) int {
	var seen []string
	for _, a := range agents {
		if !slices.Contains(seen, a.Attributes) {
			seen = append(seen, a.Attributes)
		}
	}
	return len(seen)
}

// invite says what can be tried while everything runs.
func (p Program) invite(out io.Writer, s *Stage) {
	var commands strings.Builder
	for _, command := range p.Try {
		fmt.Fprintf(&commands, "    %s --api %s\n", command, s.URL)
	}
	fmt.Fprintf(out, `
The framework's API is at %s/v1/status, the Mesos master at %s/state.
Try, in another terminal:

%s
Ctrl-C ends everything.
`, s.URL, s.Mesos.URL(), commands.String())
}
