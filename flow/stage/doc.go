// Package stage is what the author of a stage writes against.
//
// A stage type is a value made by [Define] from a documentation block, a typed
// config, typed input and output ports, and a function:
//
//	type upperConfig struct {
//		Field string `json:"field" default:"question" doc:"The field to change."`
//	}
//	type upperIn struct {
//		Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
//	}
//	type upperOut struct {
//		Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The same, in capitals."`
//	}
//
//	var Upper = stage.Define(stage.Spec{
//		Type: "upper", Version: 1, Class: stage.Pure,
//		Doc: "Writes a field in capitals.",
//	}, func(ctx context.Context, env *stage.Env, c upperConfig, in upperIn, out upperOut) error {
//		for row, err := range in.Rows.All() { ... out.Rows.Write(row) ... }
//		return nil
//	})
//
// # Config
//
// The exported fields of C are the stage's options, named by their json tag.
// Further tags: default (a YAML-like literal: text for strings, JSON for
// everything else), doc, choices ("a|b"), min, max, required:"true", and
// semantic:"false" for a field that cannot change the result and therefore
// stays out of the cache key. Defaults of nested structs and of the elements of
// lists of structs are filled in too. An embedded struct lends its fields, so that
// stages can share options. A config may have a method
// Validate() error. A field of type [Path] is a file or folder: relative ones
// are resolved before the stage sees them, and they are never part of a key;
// the content they stand for is, through [Externals].
//
// # Ports
//
// Each exported field of I and O is a port, named by its port tag; the first
// one is the default port. Inputs are [Rows] (a stream of JSONL records), a
// slice of Rows (several upstream ports gathered), or [Dir]; `port:"name,optional"`
// makes one optional. Outputs are *[Writer] or *[OutDir].
//
// # Rules
//
// A stage reads only its config, its inputs and its Env, and writes only its
// outputs and Env.WorkDir. It writes rows in a stable order and puts no time,
// latency, cost or host into them. It returns an error instead of panicking. It
// can therefore run in any process: see [Task].
package stage
