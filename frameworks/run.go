package frameworks

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mesokit/mesokit/scheduler"
)

// Config is what Run needs to know.
type Config struct {
	// Service is what is to run, or Services where there are several. Where
	// they name no Binary, agents get the program that calls Run.
	Service  *Service
	Services *Services
	// Listener takes the requests of operators, and those of agents for the
	// program. Run closes it.
	Listener net.Listener
	// URL is where agents reach the listener; empty: "http://", or "https://" with
	// TLS, and the listener's address.
	URL string
	// Token is what operators have to know; see Authenticated. A word made of it
	// guards the program, too. Empty: whoever reaches the listener is an operator.
	Token string
	// TLS has the listener speak HTTPS. Agents fetch the program by it, and have to
	// trust its certificate. Nil: HTTP.
	TLS *tls.Config
	// Scheduler is how to reach Mesos and where to keep what must outlive the
	// process. Run sets its Handler and its Mailbox.
	Scheduler scheduler.Config
}

func (c Config) validate() error {
	if (c.Service == nil) == (c.Services == nil) {
		return errors.New("Config.Service and Config.Services: wants one of them: name what is to run")
	}
	if c.Listener == nil {
		return errors.New("Config.Listener is nil: operators and agents need an address")
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("Config.URL %q: wants the base URL that agents reach, such as http://10.0.0.7:7000", c.URL)
	}
	if addr, ok := c.Listener.Addr().(*net.TCPAddr); ok && addr.IP.IsUnspecified() && c.URL == "" {
		return fmt.Errorf("Config.URL is empty and Config.Listener has %s, which is every address: name the one that agents reach", addr)
	}
	return nil
}

// served is a handler with an API: one service, or several.
type served interface {
	scheduler.Handler
	scheduler.Validated
	API(mail *scheduler.Mailbox) http.Handler
}

// handler is what is to run. The given binary is for services that name none.
func (c Config) handler(binary Binary) served {
	if c.Services != nil {
		all := &Services{New: c.Services.New, Binary: cmp.Or(c.Services.Binary, binary)}
		for _, s := range c.Services.Declared {
			all.Declared = append(all.Declared, s.with(all.Binary))
		}
		return all
	}
	return c.Service.with(binary)
}

// with is the service with a binary where it names none.
func (s *Service) with(binary Binary) *Service {
	out := *s
	out.Binary = cmp.Or(s.Binary, binary)
	return &out
}

// Run runs services with their API, until ctx ends or the scheduler does. Tasks
// go on without it. Run returns nil after ctx has ended.
func Run(ctx context.Context, c Config) error {
	if c.Listener != nil {
		defer c.Listener.Close()
	}
	if err := c.validate(); err != nil {
		return fmt.Errorf("frameworks: %w", err)
	}
	binary, err := OpenOwnBinary()
	if err != nil {
		return err
	}
	defer binary.Close()
	binary.Guard(c.Token)
	if c.URL == "" {
		c.URL = "http://" + c.Listener.Addr().String()
	}
	if c.TLS != nil {
		c.URL = "https://" + strings.TrimPrefix(strings.TrimPrefix(c.URL, "http://"), "https://")
		c.Listener = tls.NewListener(c.Listener, c.TLS)
	}
	handler := c.handler(binary.At(c.URL))
	if err := handler.Validate(); err != nil {
		return err
	}
	c.Scheduler.Handler = handler
	c.Scheduler.Mailbox = &scheduler.Mailbox{}

	mux := http.NewServeMux()
	mux.Handle("/", Authenticated(c.Token, handler.API(c.Scheduler.Mailbox)))
	mux.Handle("GET "+binaryPrefix, binary)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() {
		if err := server.Serve(c.Listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve the API: %w", err))
		}
	})
	err = scheduler.Run(running, c.Scheduler)
	switch failed := context.Cause(running); {
	case failed != nil && ctx.Err() == nil:
		err = failed
	case errors.Is(err, context.Canceled):
		err = nil // the scheduler was on its way when it was told to end
	}
	return errors.Join(err, server.Close())
}
