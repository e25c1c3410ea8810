package providers

// Teacher is a model as answers are remembered for it.
type Teacher struct {
	Model    string // provider/name
	Endpoint string // the name of the server: the alias the user chose, or its address
}

// Teachers lists the models that may be asked, each once, in order. Those that answer in
// this process are not among them: the simulated one comes with the program, and the files
// of local ones count as inputs; see [Options.LocalFiles].
func (o Options) Teachers() []Teacher {
	var out []Teacher
	seen := map[string]bool{}
	for _, f := range o.links() {
		spec, _, err := lookup(f.Model)
		if err != nil || spec.URL == "" || seen[f.Model] {
			continue
		}
		seen[f.Model] = true
		out = append(out, Teacher{Model: f.Model, Endpoint: spec.endpoint(f)})
	}
	return out
}
