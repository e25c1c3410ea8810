package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/doctor"
)

func (a app) doctorCmd() *cobra.Command {
	var f storeFlags
	var asJSON, network bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine offers and what is missing",
		Long: `doctor looks at what distillflow can use here: the build, processor, memory and disk,
the compute devices and their plugins, the Hugging Face Hub's cache, keys (whether
they are set, never their values) and the store. It opens every device in a process of
its own and multiplies a matrix there.

doctor downloads nothing, and asks a server only with --network. The exit status is 0
unless something that is there does not work.`,
		Example: `  distillflow doctor
  distillflow doctor --network
  distillflow doctor --json | jq '.[] | select(.state != "ok")'`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o := doctor.Options{Program: version + revision(), Getenv: a.getenv, Network: network}
			o.StoreDir, o.StoreBy = f.find(a)
			if o.StoreDir == "" {
				o.StoreDir, o.StoreBy = defaultStore, "beside a recipe in this folder"
			}
			all := doctor.Examine(c.Context(), o)
			if err := c.Context().Err(); err != nil {
				return err
			}
			show := doctor.Text
			if asJSON {
				show = doctor.JSON
			}
			if err := show(a.out, all); err != nil {
				return err
			}
			for _, x := range all {
				if x.State == doctor.Broken {
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

// probeCmd tries one device. doctor runs it as a process of its own, because a
// plugin that does not fit its driver may end the process or never return.
func (a app) probeCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "probe DEVICE",
		Short:  "Try one device and print what was found as JSON",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			return json.NewEncoder(a.out).Encode(doctor.ProbeDevice(c.Context(), pos[0]))
		},
	}
}
