package sampledata

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
)

var (
	goods    = []string{"lantern", "kite", "teapot", "notebook", "garden glove", "drum", "puzzle", "backpack", "flower pot", "whistle"}
	weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
	counted  = []string{"visitors", "parcels", "tickets", "phone calls", "loaves"}
	kids     = []string{"Amir", "Bella", "Chen", "Dora", "Emil", "Freya", "Gus", "Hana"}
)

// tableRow follows TabMWP: a text table, a question, a free answer (with a unit)
// or one of a few choices.
func tableRow(r *rand.Rand, i int) row {
	kinds := []func(*rand.Rand) row{shopping, dayDifference, busiest, straightLine, changeRate, meanValue, rangeValue, shareOf}
	return kinds[i%len(kinds)](r)
}

// drawInts draws n different numbers from low to high.
func drawInts(r *rand.Rand, n, low, high int) []int {
	p := r.Perm(high - low + 1)[:n]
	for i := range p {
		p[i] += low
	}
	return p
}

func drawNames(r *rand.Rand, list []string, n int) []string {
	var out []string
	for _, i := range r.Perm(len(list))[:n] {
		out = append(out, list[i])
	}
	return out
}

func table(title, head string, keys []string, values []string) string {
	lines := []string{}
	if title != "" {
		lines = append(lines, title)
	}
	if head != "" {
		lines = append(lines, head)
	}
	for i, k := range keys {
		lines = append(lines, k+" | "+values[i])
	}
	return strings.Join(lines, "\n")
}

func texts(numbers []int) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprint(n))
	}
	return out
}

// tableQuestion starts a row; the table belongs to what identifies it.
func tableQuestion(t, q, answer string) row {
	return newRow(t+"\n"+q).with("table", t).with("question", q).with("answer", answer)
}

func cents(c int) string { return fmt.Sprintf("%d.%02d", c/100, c%100) }

func shopping(r *rand.Rand) row {
	names, prices := drawNames(r, goods, 5), drawInts(r, 5, 105, 995)
	var values []string
	for _, p := range prices {
		values = append(values, "$"+cents(p))
	}
	who, sum := pick(r, kids), prices[1]+prices[3]
	q := fmt.Sprintf("How much money does %s need to buy a %s and a %s?", who, names[1], names[3])
	return tableQuestion(table("", "", names, values), q, cents(sum)).with("unit", "$").with("ans_type", "decimal_number").
		with("solution", fmt.Sprintf("The %s costs $%s and the %s costs $%s.\n$%s + $%s = $%s\n%s needs $%s.",
			names[1], cents(prices[1]), names[3], cents(prices[3]), cents(prices[1]), cents(prices[3]), cents(sum), who, cents(sum)))
}

func dayDifference(r *rand.Rand) row {
	what, n := pick(r, counted), drawInts(r, 5, 12, 98)
	a, b := 0, 3
	if n[a] < n[b] {
		a, b = b, a
	}
	q := fmt.Sprintf("Somebody in %s counted %s for a week. How many more were there on %s than on %s?", pick(r, towns), what, weekdays[a], weekdays[b])
	return tableQuestion(table("", "Day | Number of "+what, weekdays, texts(n)), q, fmt.Sprint(n[a]-n[b])).
		with("unit", what).with("ans_type", "integer_number").
		with("solution", fmt.Sprintf("On %s there were %d and on %s %d.\n%d - %d = %d\nThe difference is %d %s.", weekdays[a], n[a], weekdays[b], n[b], n[a], n[b], n[a]-n[b], n[a]-n[b], what))
}

func busiest(r *rand.Rand) row {
	what, n := pick(r, counted), drawInts(r, 4, 110, 990)
	most, word := 0, "most"
	lowest := r.IntN(2) == 0
	if lowest {
		word = "fewest"
	}
	for i := range n {
		if (n[i] > n[most]) != lowest && n[i] != n[most] {
			most = i
		}
	}
	q := fmt.Sprintf("The town hall of %s counts %s. On which day were there the %s?", pick(r, towns), what, word)
	return tableQuestion(table("", "Day | "+what, weekdays[:4], texts(n)), q, weekdays[most]).
		with("choices", weekdays[:4]).with("ans_type", "extractive_text").
		with("solution", fmt.Sprintf("Compare the numbers in the table. The number to look for is %d.\nIt stands in the row of %s.", n[most], weekdays[most]))
}

func straightLine(r *rand.Rand) row {
	x, step, slope := between(r, 1, 9), between(r, 1, 4), between(r, 2, 7)
	y := between(r, 3, 30)
	ys := []int{y, y + slope*step, y + 2*slope*step}
	answer, reason := "linear", "It is the same both times, so the function is linear."
	if r.IntN(2) == 0 {
		ys[2] += between(r, 1, 6)
		answer, reason = "nonlinear", "It is not the same both times, so the function is nonlinear."
	}
	t := table("", "x | y", texts([]int{x, x + step, x + 2*step}), texts(ys))
	q := fmt.Sprintf("A machine turns x into y as the table shows; it turns %d into %d, for example. Is this function linear or nonlinear?", x, y)
	return tableQuestion(t, q, answer).
		with("choices", []string{"linear", "nonlinear"}).with("ans_type", "boolean_text").
		with("solution", fmt.Sprintf("From row to row x grows by %d, and y changes by %d, then by %d.\n%s", step, ys[1]-ys[0], ys[2]-ys[1], reason))
}

func changeRate(r *rand.Rand) row {
	year, what := between(r, 1995, 2018), pick(r, []string{"members", "trees", "benches", "boats"})
	n := drawInts(r, 4, 10, 80)
	gap := n[2] - n[1]
	t := table("", "Year | "+what, texts([]int{year, year + 1, year + 2, year + 3}), texts(n))
	q := fmt.Sprintf("A club keeps count of its %s. What was the rate of change between %d and %d?", what, year+1, year+2)
	return tableQuestion(t, q, fmt.Sprint(gap)).with("unit", what+" per year").with("ans_type", "integer_number").
		with("solution", fmt.Sprintf("Divide the change in value by the change in time.\n(%d - %d) / 1 = %d\nThe rate of change was %d %s per year.", n[2], n[1], gap, gap, what))
}

func meanValue(r *rand.Rand) row {
	names, n := drawNames(r, kids, 4), drawInts(r, 4, 4, 60)
	sum := n[0] + n[1] + n[2] + n[3]
	n[3] += (4 - sum%4) % 4
	sum = n[0] + n[1] + n[2] + n[3]
	t := table("Shells collected", "Name | Shells", names, texts(n))
	q := fmt.Sprintf("%s, %s, %s and %s compared how many shells they found. What is the mean of the numbers?", names[0], names[1], names[2], names[3])
	return tableQuestion(t, q, fmt.Sprint(sum/4)).
		with("ans_type", "integer_number").
		with("solution", fmt.Sprintf("%d + %d + %d + %d = %d\n%d / 4 = %d\nThe mean is %d.", n[0], n[1], n[2], n[3], sum, sum, sum/4, sum/4))
}

func rangeValue(r *rand.Rand) row {
	names, n := drawNames(r, kids, 5), drawInts(r, 5, 15, 120)
	sorted := append([]int(nil), n...)
	sort.Ints(sorted)
	t := table("Minutes of reading", "Name | Minutes", names, texts(n))
	q := fmt.Sprintf("%s, %s and three others noted how long they read. What is the range of the numbers?", names[0], names[1])
	return tableQuestion(t, q, fmt.Sprint(sorted[4]-sorted[0])).
		with("ans_type", "integer_number").
		with("solution", fmt.Sprintf("The greatest number is %d and the least is %d.\n%d - %d = %d\nThe range is %d.", sorted[4], sorted[0], sorted[4], sorted[0], sorted[4]-sorted[0], sorted[4]-sorted[0]))
}

func shareOf(r *rand.Rand) row {
	n := drawInts(r, 3, 3, 25)
	colours := drawNames(r, []string{"red", "green", "yellow", "purple", "white"}, 3)
	sum := n[0] + n[1] + n[2]
	g := gcd(n[1], sum)
	answer := fmt.Sprintf("%d/%d", n[1]/g, sum/g)
	t := table("", "Colour | Marbles", colours, texts(n))
	q := fmt.Sprintf("%s has a bag of marbles. What fraction of them are %s? Simplify your answer.", pick(r, kids), colours[1])
	return tableQuestion(t, q, answer).with("ans_type", "decimal_number").
		with("solution", fmt.Sprintf("%d + %d + %d = %d marbles, of which %d are %s.\nThe fraction is %d/%d, simplified %s.", n[0], n[1], n[2], sum, n[1], colours[1], n[1], sum, answer))
}
