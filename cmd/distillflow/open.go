package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/report"
)

func (a app) openCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "open RUN",
		Short: "Open the report of a run in a browser",
		Long: `open shows the report of a run in a browser, the program named by BROWSER if that is
set, and prints where the report is. A run that was killed has written none: open writes
it. ` + runDoc,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			st, r, err := a.openRun(&f, pos[0])
			if err != nil {
				return err
			}
			place := r.ReportPath()
			if _, err = os.Stat(place); err != nil { // as of one that was killed
				if err = errors.New("it goes on"); !r.Live() {
					place, err = report.Write(r, "")
				}
			}
			if err = errors.Join(err, st.Close()); err != nil {
				return fmt.Errorf("run %s has no report (%w); 'distillflow show %s' prints its figures", r.ID, err, pos[0])
			}
			fmt.Fprintln(a.out, place)
			argv := a.browser()
			if argv == nil {
				return nil
			}
			if err := exec.CommandContext(c.Context(), argv[0], append(argv[1:], place)...).Start(); err != nil {
				return errors.Join(errors.New("no browser could be started; open the file above in one"), err)
			}
			return nil
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.runNames(&f)
	return c
}

// browser is the command that shows a file in a browser; nil where there is no screen.
func (a app) browser() []string {
	switch {
	case a.getenv("BROWSER") != "":
		return []string{a.getenv("BROWSER")}
	case runtime.GOOS == "darwin":
		return []string{"open"}
	case runtime.GOOS == "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	case a.getenv("DISPLAY") == "" && a.getenv("WAYLAND_DISPLAY") == "":
		return nil
	}
	if path, err := exec.LookPath("xdg-open"); err == nil {
		return []string{path}
	}
	return nil
}
