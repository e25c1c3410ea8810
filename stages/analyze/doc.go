// Package analyze holds the stages that count and tabulate: where the router
// sent each reasoning style, and how often each style was right. [Render]
// prints them for the terminal.
package analyze

import "github.com/distillflow/distillflow/flow/stage"

// Stages lists the stage types of this family.
func Stages() []*stage.Type {
	return []*stage.Type{Accuracy, CompareArms, CompareRouters, CompareSystems, Figures, Posrate}
}
