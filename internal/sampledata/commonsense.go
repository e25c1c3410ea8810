package sampledata

import "math/rand/v2"

var everydayQuizzes = []quiz{
	newQuiz("Where would somebody most likely look for %s?",
		"kitchen drawer", "a rolling pin|a potato peeler|a soup ladle|a whisk|a cheese grater",
		"toolbox", "a pair of pliers|a spanner|a hammer|a spirit level|a set of screwdrivers",
		"bathroom shelf", "a razor|toothpaste|a bottle of shampoo|dental floss",
		"pencil case", "a felt-tip pen|an eraser|a pencil sharpener|a crayon",
		"wardrobe", "a winter coat|a pressed shirt|a silk scarf|a hanger",
		"farmyard", "a pigsty|a hen house|a milking stool|a tractor",
		"seashore", "a sandcastle|a stranded jellyfish|a lifeguard's chair",
		"concert hall", "a grand piano on a stage|a conductor's baton|rows of violinists",
		"airport", "a control tower|a boarding gate|a runway|a baggage carousel",
		"post office", "a counter that sells stamps|scales for parcels",
		"dentist's practice", "a drill for teeth|a chair with a spittoon",
		"jeweller's window", "a diamond ring|a string of pearls",
		"forest floor", "fern leaves|a pile of acorns|a toadstool|moss on a fallen trunk",
		"stable", "a saddle|a bucket of oats and a curry comb"),
	newQuiz("What would a person most likely use %s for?",
		"opening wine", "a corkscrew",
		"keeping off the rain", "a raincoat|an umbrella|a hooded cape",
		"telling the time", "a sundial|a wristwatch",
		"cutting paper", "a pair of scissors|a guillotine in the print room",
		"catching fish", "a landing net|a rod with a baited hook|a trawl net",
		"climbing to the roof", "a ladder|scaffolding",
		"joining cloth", "a needle and thread|a sewing machine",
		"measuring a room", "a folding rule|a tape measure",
		"putting out a fire", "a hose and hydrant|a foam extinguisher",
		"carrying a baby", "a sling|a pram",
		"sweeping the floor", "a broom and dustpan",
		"clearing snow", "a plough in front of a lorry|a wide shovel in January",
		"lighting a candle", "a match|a gas lighter",
		"watering plants", "a can with a spout",
		"waking up early", "an alarm clock|a rooster",
		"listening to a heartbeat", "a stethoscope"),
	newQuiz("Why would someone most likely %s?",
		"they are hungry", "queue at the snack bar|order a second plate of pasta|raid the fridge at midnight",
		"they are tired", "nod off on the bus|yawn all through the film|go to bed before the others",
		"they are cold", "put on a second jumper|rub their hands and move closer to the stove|pull the blanket up to the chin",
		"they are afraid", "tremble in a thunderstorm|hide behind the sofa during a thriller|leave the light on all night",
		"they are bored", "doodle all over the agenda|count the tiles on the ceiling in a lecture|flip through the channels without watching",
		"they are lost", "ask a stranger for the way|unfold the map at every corner",
		"they are late", "run along the platform with the doors closing|skip breakfast and take a taxi",
		"they are proud", "frame a certificate and hang it in the hall|tell everybody about their daughter's medal",
		"they are thirsty", "empty a water bottle in one go|look for a fountain after the hike",
		"they are sorry", "send flowers after a quarrel|write a long apology"),
}

// commonsenseRow follows CommonsenseQA: five choices and an answerKey.
func commonsenseRow(r *rand.Rand, i int) row {
	return everydayQuizzes[i%len(everydayQuizzes)].draw(r, 4)
}
