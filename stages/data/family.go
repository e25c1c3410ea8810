package data

import "github.com/distillflow/distillflow/flow/stage"

// Stages lists the stage types of this family.
func Stages() []*stage.Type {
	return []*stage.Type{Scan, Import, ImportScripts, ImportRouterLog, Filter, Derive, Sample, SamplePaths, Split, Sort, Concat, Join, Export, Exec}
}
