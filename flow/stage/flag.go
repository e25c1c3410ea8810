package stage

import "reflect"

// SetFlag sets a true/false field that cannot change the result, such as one that
// says how work is done, and reports whether the stage has it.
func (c *Config) SetFlag(name string) bool {
	for _, f := range c.typ.Config.Fields {
		if f.Name == name && !f.Semantic && f.Schema.Kind == KindBool && !f.Schema.ptr {
			c.v.Elem().FieldByIndex(f.index).Set(reflect.ValueOf(true))
			return true
		}
	}
	return false
}
