package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/base/text"
)

// finding is one line of doctor.
type finding struct {
	Area   string `json:"area"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do, a command where there is one
}

// The states of a finding. Only broken makes doctor fail: something is there and
// does not work. What is missing is not needed by everyone.
const (
	stateOK      = "ok"
	stateWarning = "warning"
	stateMissing = "missing"
	stateSkipped = "not tried"
	stateBroken  = "broken"
)

func (a app) doctorCmd() *cobra.Command {
	var f storeFlags
	var asJSON, network bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine offers and what is missing",
		Long: `doctor looks at what distillflow can use here: the build, processor, memory and disk,
the compute devices and their plugins, the Hugging Face Hub's cache, keys (whether
they are set, never their values) and the store. Every device is opened, by a process
of its own, and multiplies a matrix.

Nothing is downloaded, and without --network no server is asked. The exit status is 0
unless something that is there does not work.`,
		Example: `  distillflow doctor
  distillflow doctor --network
  distillflow doctor --json | jq '.[] | select(.state != "ok")'`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			var all []finding
			all = append(all, doctorBuild()...)
			all = append(all, a.doctorHost()...)
			all = append(all, a.doctorDevices(ctx)...)
			all = append(all, a.doctorHub(ctx, network)...)
			all = append(all, a.doctorKeys()...)
			all = append(all, a.doctorStore(&f))
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := a.showFindings(all, asJSON); err != nil {
				return err
			}
			for _, x := range all {
				if x.State == stateBroken {
					return shownError{fmt.Errorf("%s %s is broken", x.Area, x.Name)}
				}
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	c.Flags().BoolVar(&network, "network", false, "also ask whether the Hugging Face Hub can be reached")
	c.AddCommand(a.probeCmd())
	return c
}

func (a app) showFindings(all []finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(all)
	}
	tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	area := ""
	for _, x := range all {
		head := ""
		if x.Area != area {
			head, area = x.Area, x.Area
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", head, x.Name, x.State, text.OneLine(x.Detail))
		if x.Fix != "" {
			fmt.Fprintf(tw, "\t\t\t-> %s\n", text.OneLine(x.Fix))
		}
	}
	return tw.Flush()
}

// probeResult is what the process that tried one device tells doctor.
type probeResult struct {
	Name     string  `json:"name,omitempty"`
	Platform string  `json:"platform,omitempty"`
	Version  string  `json:"version,omitempty"`
	FLOPS    float64 `json:"flops,omitempty"`
	Free     int64   `json:"free,omitempty"` // bytes
	Error    string  `json:"error,omitempty"`
}

// probeCmd tries one device. doctor runs it as a process of its own, because a
// plugin that does not fit its driver may end the process or never return.
func (a app) probeCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "probe DEVICE",
		Short:  "Try one device and print what was found as JSON",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			return json.NewEncoder(a.out).Encode(probeDevice(c.Context(), pos[0]))
		},
	}
}

// probeError shortens an error of a device to what stands in a table.
func probeError(ctx context.Context, err error, output string) string {
	last := ""
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" {
			last = ": " + line
		}
	}
	if len(last) > 300 {
		last = last[:300]
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "the device did not answer in time" + last
	}
	return fmt.Sprintf("the process that tried it ended (%v)%s", err, last)
}
