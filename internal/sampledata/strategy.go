package sampledata

import (
	"fmt"
	"math/rand/v2"
)

var (
	people = []struct {
		name string
		born int
		died int
	}{
		{"Wolfgang Amadeus Mozart", 1756, 1791}, {"Leonardo da Vinci", 1452, 1519}, {"Isaac Newton", 1643, 1727},
		{"Marie Curie", 1867, 1934}, {"Albert Einstein", 1879, 1955}, {"William Shakespeare", 1564, 1616},
		{"Johann Sebastian Bach", 1685, 1750}, {"Ada Lovelace", 1815, 1852}, {"Charles Darwin", 1809, 1882},
		{"Frida Kahlo", 1907, 1954}, {"Claude Monet", 1840, 1926}, {"Cleopatra", -69, -30},
	}
	inventions = []struct {
		deed string
		what string
		year int
	}{
		{"have spoken on a telephone", "the telephone", 1876}, {"have ridden in a motor car", "the motor car", 1886},
		{"have listened to a radio broadcast", "public radio", 1920}, {"have sent a text message", "the text message", 1992},
		{"have read a printed book", "printing with movable type in Europe", 1455},
		{"have posed for a photograph", "photography", 1839}, {"have travelled by steam railway", "the public steam railway", 1825},
		{"have flown in an aeroplane", "powered flight", 1903}, {"have searched the World Wide Web", "the World Wide Web", 1991},
	}
	// Typical lengths in centimetres. Questions keep a wide margin.
	small = []struct {
		name string
		cm   float64
	}{{"pencils", 18}, {"paper clips", 3}, {"tennis rackets", 68}, {"matches", 4.5}, {"baguettes", 60}, {"bicycles", 180}, {"ants", 0.6}}
	large = []struct {
		name string
		cm   float64
	}{{"a football pitch", 10500}, {"a double bed", 200}, {"a tennis court", 2377}, {"a city bus", 1200}, {"a blue whale", 2500}, {"a ladder of five metres", 500}, {"a marathon course", 4219500}}
)

// strategyRow follows StrategyQA: a yes-or-no question with a boolean answer and
// the facts behind it.
func strategyRow(r *rand.Rand, i int) row {
	want := i/2%2 == 0 // as many yes as no
	if i%2 == 0 {
		return meeting(r, want)
	}
	return lining(r, want)
}

func meeting(r *rand.Rand, want bool) row {
	for {
		p, v := pick(r, people), pick(r, inventions)
		// Only clear cases: there long before death, or not there yet.
		yes, no := v.year+10 < p.died && p.born+10 < p.died, v.year > p.died
		if yes == no || yes != want {
			continue
		}
		q := fmt.Sprintf("Could %s %s?", p.name, v.deed)
		died := fmt.Sprintf("%s died in %d.", p.name, p.died)
		if p.died < 0 {
			died = fmt.Sprintf("%s died in %d BC.", p.name, -p.died)
		}
		return newRow(q).with("question", q).with("answer", yes).
			with("facts", []string{died, fmt.Sprintf("The year of %s is %d.", v.what, v.year)})
	}
}

func lining(r *rand.Rand, want bool) row {
	for {
		s, l, n := pick(r, small), pick(r, large), between(r, 2, 400)
		ratio := float64(n) * s.cm / l.cm
		if ratio > 0.6 && ratio < 1.7 || (ratio > 1) != want || ratio > 40 || ratio < 0.02 {
			continue
		}
		q := fmt.Sprintf("Would a row of %d %s, laid end to end, be longer than %s?", n, s.name, l.name)
		return newRow(q).with("question", q).with("answer", ratio > 1).
			with("facts", []string{
				fmt.Sprintf("For %s a usual length is %g cm each.", s.name, s.cm),
				fmt.Sprintf("A usual length of %s is %g m.", l.name, l.cm/100),
			})
	}
}
