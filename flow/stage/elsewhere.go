package stage

// Elsewhere gives a copy of the type for a recipe that was taken from another
// machine together with its files. moved says where a file or folder lies now,
// given the path that the recipe leads to; it returns other paths unchanged. A
// platform that is not "" is used in place of this machine's, so that results
// made there are found under their keys.
func (t *Type) Elsewhere(moved func(path string) string, platform string) *Type {
	c := *t
	c.moved = moved
	if platform != "" && c.Platform != nil {
		c.Platform = func() string { return platform }
	}
	return &c
}
