package compare

import "github.com/distillflow/distillflow/cmd/distillflow/internal/pages"

// Tables gives the comparison as tables of a page, without those that are empty.
func (c *Comparison) Tables() []pages.Table {
	var list []pages.Table
	for _, s := range c.sections() {
		if len(s.rows) > 0 {
			list = append(list, pages.Table{Name: s.title, Head: s.head, Rows: s.rows, Words: s.left, Notes: s.notes})
		}
	}
	return list
}
