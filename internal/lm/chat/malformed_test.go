package chat

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// Templates that never end, write without end, or lie in themselves are errors.
func TestTemplateLoops(t *testing.T) {
	for title, c := range map[string]struct{ source, want string }{
		"a macro that calls itself":       {`{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}`, "macros call one another"},
		"two that call each other":        {`{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}`, "macros call one another"},
		"a macro that calls its caller":   {`{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}`, "macros call one another"},
		"a loop that calls itself":        {`{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`, "line 1: recursive loops"},
		"a template that includes itself": {`{% include "/chat_template" %}`, "include"},
		"one that extends itself":         {`{% extends "/chat_template" %}`, "extends"},
		"one that imports itself":         {`{% import "/chat_template" as x %}`, "import"},
		"parentheses":                     {"\n{{ " + strings.Repeat("(", 400000) + `1` + strings.Repeat(")", 400000) + ` }}`, "line 2: brackets are nested more than 100 deep"},
		"lists":                           {`{{ ` + strings.Repeat("[", 400000) + strings.Repeat("]", 400000) + ` }}`, "brackets are nested more than 100 deep"},
		"negations":                       {`{{ ` + strings.Repeat("not ", 20000) + `1 }}`, "expected"},
		"signs":                           {`{{ ` + strings.Repeat("-", 90000) + `1 }}`, "expected"},
		"conditions":                      {strings.Repeat(`{% if 1 %}`, 40000) + strings.Repeat(`{% endif %}`, 40000), "blocks are nested more than 100 deep"},
		"a text times a number":           {`{{ "aaaaaaaaaa" * 1000000000 }}`, "line 1: a product"},
		"a text times a variable":         {`{% set n = 99999 %}{{ "aaaaaaaaaa" * n }}`, "line 1: a product"},
		"a product of products":           {`{{ "a" * 99 * 99 * 99 * 99 * 99 * 99 }}`, "line 1: a product"},
		"texts that double":               {`{% set x = "a" %}` + strings.Repeat(`{% set x = x ~ x %}`, 60) + `{{ x }}`, "a variable of"},
		"texts that double in an object":  {`{% set n = namespace(x="a") %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}`, "a variable of"},
		"an object in itself":             {`{% set ns = namespace() %}{% set ns.x = ns %}{{ ns | tojson }}`, "a variable of"},
		"lists that double":               {`{% set x = [1] %}{% for i in range(60) %}{% set ns = namespace(x=x) %}{% endfor %}` + strings.Repeat(`{% set x = [x, x] %}`, 60) + `{{ x }}`, "a variable of"},
		"objects that double":             {`{% set ns = namespace(x=1) %}{% for i in range(60) %}{% set ns.x = {"a": ns.x, "b": ns.x} %}{% endfor %}{{ ns.x }}`, "a variable of"},
		"many texts in one":               {`{{ ` + strings.Repeat("bos_token ~ ", 1000) + `"" }}`, "1000 values are joined"},
		"centred":                         {`{{ "a" | center(1000000000) }}`, "center(1000000000)"},
		"indented":                        {`{{ "a\nb" | indent(1000000000) }}`, "indent(1000000000)"},
		"filled up":                       {`{{ "a".ljust(1000000000) }}`, "ljust(1000000000)"},
		"a long output":                   {`{% for i in range(100) %}{% for j in range(10) %}{{ "` + strings.Repeat("x", 100000) + `" }}{% endfor %}{% endfor %}`, "writes more than 67108864 bytes"},
		"texts replaced by longer ones":   {`{% set y = "a"*99 %}{{ y|replace("a",y)|replace("a",y)|replace("a",y)|replace("a",y)|replace("a",y) }}`, "replace: it would make more than"},
		"by the method":                   {`{% set y = "a"*99 %}{{ y.replace("a",y).replace("a",y).replace("a",y).replace("a",y).replace("a",y) }}`, "replace: it would make more than"},
		"by the filter as a block":        {`{% set y = "a"*99 %}` + strings.Repeat(`{% filter replace("a", y) %}`, 6) + "a" + strings.Repeat(`{% endfilter %}`, 6), "replace: it would make more than"},
		"by a filter's name":              {`{% set y = "a"*99 %}{{ messages|map(attribute="role")|map("replace","",y)|map("replace","a",y)|map("replace","a",y)|map("replace","a",y)|map("replace","a",y)|list }}`, "replace: it would make more than"},
		"lists joined by longer texts":    {`{% set y = "a"*99 %}{{ y|list|join(y)|list|join(y)|list|join(y)|list|join(y)|list|join(y) }}`, "more than"},
		"joined by the method":            {`{% set y = "a"*99 %}{{ y.join(y.join(y.join(y.join(y.join(y|list)|list)|list)|list)|list) }}`, "more than"},
		"a list that is filled up":        {`{% set y %}{% for i in range(10000) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}{% endset %}{{ ([1]|batch(10000, y)|list)[0]|join }}`, "join: it would make more than"},
		"a wide format":                   {`{{ "%999999d"|format(1) }}`, "format: a width"},
		"a width from elsewhere":          {`{{ "%*d"|format(999, 1) }}`, "format: a width"},
		"many lines indented":             {`{% set y %}{% for i in range(10000) %}{{ "a\nb" }}{% endfor %}{% endset %}{{ y|indent(9999) }}`, "indent: it would make more than"},
		"slices":                          {`{{ [1]|slice(1000000000) }}`, "slice(1000000000)"},
		"batches":                         {`{{ [1]|batch(1000000000, "x")|list }}`, "batch(1000000000)"},
		"words of chance":                 {`{{ lipsum(100000, true, 100000, 1000000) }}`, "lipsum"},
		"loops in loops":                  {`{% for i in range(10000) %}{% for j in range(10000) %}{% for k in range(10000) %}{% endfor %}{% endfor %}{% endfor %}`, "loops run more than"},
		"a long text in a variable":       {`{% set y %}{% for i in range(10000) %}{% for j in range(10) %}{{ "` + strings.Repeat("x", 10000) + `" }}{% endfor %}{% endfor %}{% endset %}`, "writes more than 67108864 bytes"},
		"a long text in a filter":         {`{% filter upper %}{% for i in range(10000) %}{% for j in range(10) %}{{ "` + strings.Repeat("x", 10000) + `" }}{% endfor %}{% endfor %}{% endfilter %}`, "writes more than 67108864 bytes"},
		"many long texts":                 {`{% set y = ("a"*99)|replace("a", "` + strings.Repeat("b", 10000) + `") %}{% for i in range(10000) %}{% if y|upper == "x" %}{% endif %}{% endfor %}`, "filters make more than"},
		"a long loop":                     {`{% for i in range(1000000000) %}x{% endfor %}`, "range is longer"},
	} {
		t.Run(title, func(t *testing.T) {
			if testing.Short() && (title == "loops in loops" || title == "many long texts") {
				t.Skip("seconds, and ten times as many under the race detector")
			}
			var err error
			// Three times: a template is tried twice before it is used. What a loop throws
			// away counts, too.
			alloctest.Within(t, len(c.source), 0, 3<<30, func() {
				var tmpl *Template
				if tmpl, err = Parse(c.source, Tokens{}); err == nil {
					_, err = tmpl.Render([]Message{{User, "x"}}, true)
				}
			})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "chat template: ") {
				t.Errorf("error %.300v, want %q", err, c.want)
			}
		})
	}
}

// What real templates do stays possible.
func TestBoundsLeaveRealTemplatesAlone(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	for source, want := range map[string]string{
		`{{ "=" * 10 }}`: "==========",
		`{% macro f(*args, **kw) %}{{ args | length }}{% endmacro %}{{ f(1, 2) }}`: "2",
		`{% macro f(x) %}{{ x }}{% endmacro %}{{ f(2 * 3) }}`:                      "6",
		`{% set x = messages[0].content + "!" %}{{ x | length }}`:                  "3145729",
		`a :( b :( {# (((( #} {{ "((((" }}`:                                        "a :( b :(  ((((",
		`{{ "aXa".replace("a", "b") }}{{ "aaa".replace("a", "b", 1) }}`:            "bXbbaa",
		`{{ "a, b" | replace(", ", "-") | indent(2) | upper }}`:                    "A-B",
		`{% set a %}b{% endset %}{{ a }}`:                                          "b",
	} {
		tmpl, err := Parse(source, Tokens{})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tmpl.Render([]Message{{User, long}}, false); err != nil || got != want {
			t.Errorf("%s: %.50q, %v; want %q", source, got, err, want)
		}
	}
}
