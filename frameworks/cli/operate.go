package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesokit/mesokit/frameworks"
)

// operator is what the operators' commands have in common.
type operator struct {
	app    App
	client *frameworks.Client

	json, wait bool
	timeout    time.Duration
}

const defaultAPI = "http://127.0.0.1:7000"

// tokenFile is a flag that reads a token from a file.
type tokenFile string

func (t *tokenFile) String() string { return "" } // no help text shows a token
func (t *tokenFile) Type() string   { return "file" }
func (t *tokenFile) Set(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	*t = tokenFile(strings.TrimSpace(string(text)))
	if *t == "" {
		return errors.New("it is empty: wants a token")
	}
	return nil
}

// authority is a flag that reads the certificates of authorities from a file, and
// makes a client trust these alone.
type authority struct{ client *frameworks.Client }

func (a authority) String() string { return "" }
func (a authority) Type() string   { return "file" }
func (a authority) Set(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(text) {
		return errors.New("it has no certificate: wants PEM")
	}
	a.client.HTTP = &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
	}}
	return nil
}

// addAPI adds the flags that say where the scheduler is, and who asks.
func (a App) addAPI(c *cobra.Command, client *frameworks.Client) {
	url := cmp.Or(os.Getenv(a.variable("API")), defaultAPI)
	client.Token = os.Getenv(a.variable("TOKEN"))
	c.PersistentFlags().Var((*tokenFile)(&client.Token), "token-file", "file with the token of the API; also the token itself by the variable "+a.variable("TOKEN"))
	c.PersistentFlags().Var(authority{client}, "ca-file", "file with the certificate of who vouches for an API that speaks HTTPS (default those that the machine trusts)")
	c.PersistentFlags().StringVar(&client.URL, "api", url, "the scheduler's API; also by the variable "+a.variable("API"))
	c.PersistentFlags().StringVar(&client.Service, "service", "", "which service, where the scheduler runs several (default the only one)")
	c.PersistentPreRun = func(*cobra.Command, []string) {
		if !strings.Contains(client.URL, "://") {
			client.URL = "http://" + client.URL
		}
	}
}

func (a App) newOperator(c *cobra.Command) *operator {
	o := &operator{app: a, client: new(frameworks.Client)}
	a.addAPI(c, o.client)
	f := c.PersistentFlags()
	f.BoolVar(&o.json, "json", false, "print the API's answer")
	f.BoolVar(&o.wait, "wait", false, "return only when it has come true, one node after the other")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long to wait for each")
	return o
}

func (a App) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show every node, and why one has no place or fails",
		Long: `Show every node, and why one has no place or fails. With --wait it is shown
when every node is as it is wanted: ready, or stopped where that was asked for;
a scheduler that does not answer yet is waited for as well.`,
		Args: Args(cobra.NoArgs),
	}
	o := a.newOperator(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		ask := o.client.Status
		if o.wait {
			ask = func(context.Context) (frameworks.Status, error) { return o.await(c, settled) }
		}
		status, err := ask(c.Context())
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(c.OutOrStdout(), status)
		}
		return table{a.Pods, time.Now()}.status(c.OutOrStdout(), status)
	}
	return c
}

// podCommand operates the nodes of one pod.
func (a App) podCommand(p Pod) *cobra.Command {
	c := &cobra.Command{Use: p.Name, Args: Args(cobra.NoArgs), RunE: help}
	o := a.newOperator(c)
	words := []string{"list"}
	add := func(child *cobra.Command) {
		c.AddCommand(child)
		if name := child.Name(); name != "list" {
			words = append(words, name)
		}
	}
	add(o.listCommand(p))
	if !p.Fixed {
		add(o.addCommand(p))
	}
	for _, w := range wishes {
		if p.Fixed && w.came == nil {
			continue
		}
		add(o.wishCommand(p, w))
	}
	last := len(words) - 1
	c.Short = fmt.Sprintf("%s and %s %s", capital(strings.Join(words[:last], ", ")), words[last], p.plural())
	return c
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func (o *operator) listCommand(p Pod) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the " + p.plural(),
		Args:  Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			status, err := o.client.Status(c.Context())
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), nodesOf(status, p.Name))
		},
	}
}

func nodesOf(status frameworks.Status, pod string) []frameworks.NodeStatus {
	var out []frameworks.NodeStatus
	for _, n := range status.Nodes {
		if n.Pod == pod {
			out = append(out, n)
		}
	}
	return out
}

// staying are the nodes that do not leave.
func staying(nodes []frameworks.NodeStatus) []frameworks.NodeStatus {
	return slices.DeleteFunc(nodes, func(n frameworks.NodeStatus) bool { return n.Goal == frameworks.GoalLeave })
}

func (o *operator) addCommand(p Pod) *cobra.Command {
	return &cobra.Command{
		Use:   "add [count]",
		Short: fmt.Sprintf("Add one %s, or so many", p.Name),
		Long:  strings.TrimSpace(fmt.Sprintf("Add one %s, or so many.\n%s", p.Name, p.Add)),
		Args:  Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			add := 1
			if len(args) == 1 {
				n, err := strconv.Atoi(args[0])
				if err != nil || n < 1 {
					return UsageError{fmt.Errorf("count %q: wants 1 or more", args[0])}
				}
				add = n
			}
			status, err := o.client.Status(c.Context())
			if err != nil {
				return err
			}
			count := len(staying(nodesOf(status, p.Name))) + add
			status, err = o.client.Scale(c.Context(), p.Name, count)
			if err == nil && o.wait {
				status, err = o.await(c, func(s frameworks.Status) []string {
					return unsettled(staying(nodesOf(s, p.Name)))
				})
			}
			if err != nil {
				return fmt.Errorf("add: %w", err)
			}
			return o.print(c.OutOrStdout(), nodesOf(status, p.Name))
		},
	}
}

// print prints nodes as a table or as JSON.
func (o *operator) print(w io.Writer, nodes []frameworks.NodeStatus) error {
	if o.json {
		return printJSON(w, nodes)
	}
	return table{o.app.Pods, time.Now()}.nodes(w, nodes)
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
