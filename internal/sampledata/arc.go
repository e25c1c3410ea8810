package sampledata

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// quiz is a kind of multiple-choice question: members of each answer, and the
// question about a member.
type quiz struct {
	ask     string // with one %s for the member
	members map[string]string
	answers []string // the keys of members, in a fixed order
}

// draw picks a member and offers its answer among up to wrong others.
func (z quiz) draw(r *rand.Rand, wrong int) row {
	answer := pick(r, z.answers)
	member := pick(r, strings.Split(z.members[answer], "|"))
	q := fmt.Sprintf(z.ask, member)
	o, key := shuffled(r, answer, others(r, z.answers, answer, wrong))
	return newRow(q).with("question", q).with("choices", o).with("answerKey", key)
}

// newQuiz takes pairs of an answer and its members, which bars separate.
func newQuiz(ask string, pairs ...string) quiz {
	z := quiz{ask: ask, members: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		z.answers = append(z.answers, pairs[i])
		z.members[pairs[i]] = pairs[i+1]
	}
	return z
}

var scienceQuizzes = []quiz{
	newQuiz("To which group of animals does the %s belong?",
		"mammals", "dolphin|bat|hedgehog|otter|kangaroo|walrus|porcupine|blue whale",
		"birds", "penguin|ostrich|heron|woodpecker|kiwi|swallow|albatross",
		"reptiles", "gecko|tortoise|cobra|chameleon|iguana|alligator",
		"fish", "seahorse|eel|salmon|hammerhead shark|stingray|carp",
		"amphibians", "newt|toad|salamander|tree frog",
		"insects", "ladybird|dragonfly|cricket|termite|earwig|hornet"),
	newQuiz("A class wants to find out %s. Which instrument does it need?",
		"a thermometer", "whether the soup has cooled|if a sick child runs a fever",
		"a barometer", "how the pressure of the air changes before a storm",
		"a balance scale", "which of two stones has the greater mass",
		"a graduated cylinder", "how much water a sponge gives off|the volume of a small pebble by sinking it",
		"a stopwatch", "which toy car reaches the wall sooner|how long a pendulum takes to swing back",
		"a compass", "in which direction north lies",
		"a microscope", "what the cells of an onion skin look like|whether pond water holds tiny living things",
		"a telescope", "what the craters of the moon look like",
		"a rain gauge", "how much rain falls in a week",
		"an ammeter", "how strong the current through a lamp is",
		"an anemometer", "how fast the wind blows on the roof"),
	newQuiz("Which part of the human body %s?",
		"the heart", "pumps blood through the vessels",
		"the lungs", "passes oxygen from the air into the blood",
		"the kidneys", "filters waste out of the blood to make urine",
		"the stomach", "mixes food with acid",
		"the small intestine", "takes up most of the nutrients from digested food",
		"the skeleton", "gives the body its frame and guards soft organs",
		"the skin", "covers the body and cools it by sweating",
		"the brain", "works out what the eyes and ears report"),
	newQuiz("Which change of energy is the purpose of %s?",
		"electrical to heat", "a toaster|a hair straightener|an electric kettle",
		"electrical to light", "a desk lamp|a torch bulb",
		"electrical to motion", "a ceiling fan|an electric drill|a washing machine's motor",
		"light to electrical", "a solar panel on a roof|the solar cell of a pocket calculator",
		"chemical to heat", "a campfire|a gas stove",
		"motion to electrical", "a wind turbine|a bicycle dynamo",
		"electrical to sound", "a loudspeaker|a doorbell"),
	newQuiz("In which state of matter is %s in a classroom at room temperature?",
		"solid", "a block of salt|candle wax|a copper coin|chalk|a rubber band",
		"liquid", "olive oil|vinegar|the mercury in an old thermometer|rubbing alcohol|milk",
		"gas", "the helium inside a balloon|the oxygen we breathe|carbon dioxide above a fizzy drink|the steam-free air in a jar",
		"plasma", "the glowing neon inside a lit sign"),
	newQuiz("What kind of simple machine is %s?",
		"a lever", "a seesaw|a crowbar|a bottle opener",
		"a wheel and axle", "a doorknob|a steering wheel",
		"an inclined plane", "a wheelchair ramp|a playground slide",
		"a pulley", "the top of a flagpole with its rope|the hoist over a well",
		"a wedge", "the blade of an axe|a doorstop",
		"a screw", "the thread of a jar lid|a spiral cork puller"),
	newQuiz("Rosa reads that %s. What is this an example of?",
		"evaporation", "a puddle shrinks on a sunny morning|wet laundry dries on the line",
		"condensation", "drops form on a cold glass of lemonade|a bathroom mirror fogs up during a shower",
		"melting", "an ice cube turns into water in the hand|butter runs in a hot pan",
		"freezing", "a lake becomes firm enough to skate on",
		"erosion", "a river carries soil away from its bank|wind wears down a cliff of sandstone",
		"pollination", "bees carry yellow dust from blossom to blossom",
		"photosynthesis", "leaves make sugar from light, water and air",
		"migration", "geese fly south every autumn",
		"camouflage", "a moth looks just like the bark it sits on|a white hare is hard to see in the snow",
		"hibernation", "a dormouse sleeps from autumn to spring"),
}

// arcRow follows ARC-Challenge: four choices and an answerKey.
func arcRow(r *rand.Rand, i int) row { return scienceQuizzes[i%len(scienceQuizzes)].draw(r, 3) }
