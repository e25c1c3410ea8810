package data

import "bytes"

// brokenCommands are LaTeX commands whose backslash and first letter a careless
// writer turned into a JSON escape, by that letter. Only endings that cannot
// begin an English word after a tab or line end are listed, so that real tabs
// and line ends stay.
var brokenCommands = map[byte][]string{
	'b': {"oxed", "inom", "egin", "eta", "ar{", "mod", "ig", "f{", "oldsymbol", "ullet", "ackslash"},
	'f': {"rac", "orall", "box"},
	't': {"ext{", "imes", "heta", "frac", "extbf{"},
	'r': {"ight)", "ight]", "ight|", "ight.", `ight\`},
}

// controls are the same escapes in their \u form.
var controls = map[string]byte{"0008": 'b', "000c": 'f', "000C": 'f', "0009": 't', "000d": 'r', "000D": 'r'}

// repairEscapes doubles the backslash of broken LaTeX commands in a line of
// JSON and returns how many there were. Without any it returns the line itself.
func repairEscapes(line []byte) ([]byte, int) {
	if bytes.IndexByte(line, '\\') < 0 {
		return line, 0
	}
	var out []byte
	n, copied := 0, 0
	for i := 0; i+1 < len(line); i++ {
		next := bytes.IndexByte(line[i:len(line)-1], '\\')
		if next < 0 {
			break
		}
		i += next
		letter, size := line[i+1], 2
		if letter == 'u' && i+6 <= len(line) {
			letter, size = controls[string(line[i+2:i+6])], 6
		}
		for _, ending := range brokenCommands[letter] {
			if bytes.HasPrefix(line[i+size:], []byte(ending)) {
				out = append(append(out, line[copied:i]...), '\\', '\\', letter)
				copied = i + size
				n++
				break
			}
		}
		i += size - 1
	}
	if n == 0 {
		return line, 0
	}
	return append(out, line[copied:]...), n
}
