package stage

import "reflect"

// SetFlag sets a true/false field that cannot change the result, such as one that
// says how work is done, and reports whether the stage has it.
func (c *Config) SetFlag(name string) bool {
	f, ok := c.flag(name)
	if ok {
		f.Set(reflect.ValueOf(true))
	}
	return ok
}

// Flag reports whether such a field is set; false for one that the stage lacks.
func (c *Config) Flag(name string) bool {
	f, ok := c.flag(name)
	return ok && f.Bool()
}

func (c *Config) flag(name string) (reflect.Value, bool) {
	for _, f := range c.typ.Config.Fields {
		if f.Name == name && !f.Semantic && f.Schema.Kind == KindBool && !f.Schema.ptr {
			return c.v.Elem().FieldByIndex(f.index), true
		}
	}
	return reflect.Value{}, false
}
