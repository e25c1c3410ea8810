package sampledata

import (
	"fmt"
	"math/rand/v2"
)

var (
	towns   = []string{"Aldmoor", "Brennick", "Castelow", "Dunsley", "Everholt", "Fenwater"}
	persons = []string{"Ines Marlow", "Jonas Pike", "Katya Brandt", "Luis Ferrand", "Mabel Okoro", "Niels Thorsen"}
	shops   = []string{"bakery", "bookshop", "tailor's shop", "pharmacy", "bicycle shop"}
	teams   = []string{"Harbour Rovers", "North Lions", "Valley Owls", "Mill Street Eleven"}
	days    = []string{"Monday", "Tuesday", "Wednesday", "Thursday"}
	labels  = []string{"entailment", "neutral", "contradiction"}
)

// claims are hypotheses about one premise, by label.
type claims map[string][]string

// anliRow follows ANLI: premise, hypothesis and label.
func anliRow(r *rand.Rand, i int) row {
	label := labels[i%3]
	premise, c := []func(*rand.Rand) (string, claims){shopStory, ferryStory, seasonStory, libraryStory}[i/3%4](r)
	hypothesis := pick(r, c[label])
	return newRow(premise+" "+hypothesis).with("premise", premise).with("hypothesis", hypothesis).with("label", label)
}

func shopStory(r *rand.Rand) (string, claims) {
	who, town, shop := pick(r, persons), pick(r, towns), pick(r, shops)
	year, later, n := between(r, 1951, 1990), between(r, 2, 9), between(r, 6, 40)
	premise := fmt.Sprintf("%s opened a %s in %s in %d. By %d it had %d employees, and %d years after that it was sold to a cousin.",
		who, shop, town, year, year+later, n, later+1)
	return premise, claims{
		"entailment": {
			fmt.Sprintf("The %s of %s existed before %d.", shop, who, year+later),
			fmt.Sprintf("More than %d people worked at the %s in %d.", n-3, shop, year+later),
			fmt.Sprintf("A relative of the founder bought the %s.", shop),
		},
		"contradiction": {
			fmt.Sprintf("%s opened the %s in %d.", who, shop, year+later+20),
			fmt.Sprintf("The %s had no employees at all in %d.", shop, year+later),
			fmt.Sprintf("The %s was sold to a stranger.", shop),
		},
		"neutral": {
			fmt.Sprintf("%s was born in %s.", who, town),
			fmt.Sprintf("The cousin gave the %s a new name.", shop),
			fmt.Sprintf("The %s was the first of its kind in %s.", shop, town),
		},
	}
}

func ferryStory(r *rand.Rand) (string, claims) {
	from, to := towns[r.IntN(3)], towns[3+r.IntN(3)]
	trip, every, open := between(r, 12, 55), 5*between(r, 4, 12), between(r, 5, 8)
	premise := fmt.Sprintf("The ferry from %s to %s leaves every %d minutes from %d in the morning until midnight, and a crossing takes %d minutes. Bicycles travel free of charge, but every dog needs a ticket.",
		from, to, every, open, trip)
	return premise, claims{
		"entailment": {
			"A cyclist pays nothing extra for taking the bicycle on board.",
			fmt.Sprintf("One can cross from %s to %s by ferry at noon.", from, to),
			fmt.Sprintf("The crossing takes longer than %d minutes.", trip-4),
		},
		"contradiction": {
			"Dogs are carried without a ticket.",
			fmt.Sprintf("The ferry from %s leaves only once a day.", from),
			fmt.Sprintf("The crossing to %s is over in less than %d minutes.", to, trip-4),
		},
		"neutral": {
			fmt.Sprintf("Most passengers of the ferry work in %s.", to),
			"The ferry is painted white and blue.",
			fmt.Sprintf("The ferry from %s has a restaurant on board.", from),
		},
	}
}

func seasonStory(r *rand.Rand) (string, claims) {
	team, who, year := pick(r, teams), pick(r, persons), between(r, 1962, 2019)
	games := between(r, 24, 40)
	won, goals := between(r, 13, games-5), between(r, 7, 22)
	premise := fmt.Sprintf("In the season of %d the %s won %d of their %d matches, more than in any season before. Their captain, %s, scored %d goals.",
		year, team, won, games, who, goals)
	return premise, claims{
		"entailment": {
			fmt.Sprintf("The %s did not win %d of their matches in %d.", team, games-won, year),
			fmt.Sprintf("Before %d the %s had never won %d matches in one season.", year, team, won),
			fmt.Sprintf("%s found the goal in %d.", who, year),
		},
		"contradiction": {
			fmt.Sprintf("The %s had won even more matches in the season before %d.", team, year),
			fmt.Sprintf("%s did not score in the season of %d.", who, year),
			fmt.Sprintf("The %s won all their matches in %d.", team, year),
		},
		"neutral": {
			fmt.Sprintf("%s scored more goals than any other player of the %s.", who, team),
			fmt.Sprintf("The %s won the cup in %d.", team, year),
			fmt.Sprintf("%s had been captain for several years.", who),
		},
	}
}

func libraryStory(r *rand.Rand) (string, claims) {
	town, day := pick(r, towns), pick(r, days)
	books, stored, fee := 100*between(r, 90, 480), 100*between(r, 5, 60), between(r, 6, 30)
	premise := fmt.Sprintf("The library of %s owns %d books, %d of which are kept in a locked store room. It is closed on every %s. A card costs adults %d euros a year; children get one for nothing.",
		town, books, stored, day, fee)
	return premise, claims{
		"entailment": {
			"Not all of the library's books stand where visitors can reach them.",
			fmt.Sprintf("A child in %s does not have to pay for a library card.", town),
			fmt.Sprintf("More than %d books belong to the library of %s.", books-100, town),
		},
		"contradiction": {
			fmt.Sprintf("The library of %s opens on every %s.", town, day),
			fmt.Sprintf("Adults pay less than %d euros for a yearly card.", fee-2),
			"Every book of the library is open to visitors.",
		},
		"neutral": {
			fmt.Sprintf("The library of %s stands next to the town hall.", town),
			"Most of the library's cards are held by children.",
			fmt.Sprintf("The store room holds the oldest books of %s.", town),
		},
	}
}
