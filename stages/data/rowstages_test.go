package data

import (
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestRowStagesGolden(t *testing.T) {
	for _, typ := range []*stage.Type{Filter, Derive, Sample, Split, Sort, Concat, Join, Export, Import} {
		t.Run(typ.Type, func(t *testing.T) { stagetest.Golden(t, typ) })
	}
}
