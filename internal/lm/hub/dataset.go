package hub

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/internal/base/paths"
)

// dataExts are the extensions of data files, the better first.
var dataExts = []string{".parquet", ".jsonl", ".jsonl.zst", ".jsonl.gz", ".json", ".json.zst", ".json.gz",
	".csv", ".csv.zst", ".csv.gz", ".tsv", ".tsv.zst", ".tsv.gz"}

// readFormats says in messages what is read.
const readFormats = ".parquet, .jsonl, .json, .csv or .tsv (also .gz and .zst)"

// CardName is the file of a repository that describes it, and may say which files of
// a data set belong to which split.
const CardName = "README.md"

// DataFiles lists the data files that a reference to a data set means, sorted by
// name. What it means is decided as the datasets library does, in this order:
//
//   - the path names a file: that file;
//   - the card (README.md) lists configurations with data_files: those of the split,
//     from the configuration that the path names, else the default one, else main,
//     else the only one;
//   - by name, below the path: data/train-00000-of-00002.parquet, train.jsonl,
//     train/0.parquet and the like. A folder of configurations is entered as above.
//
// Without a split in the reference, train is meant. Errors list what there is.
func (s *Snapshot) DataFiles(ctx context.Context) ([]File, error) {
	if f, ok := s.Find(s.Ref.Path); ok {
		if ext := dataExt(f.Path); ext == "" {
			return nil, fmt.Errorf("%s: only %s files are read", s.Ref, readFormats)
		}
		return []File{f}, nil
	}
	files, err := s.fromCard(ctx)
	if err == nil && files == nil {
		files, err = s.byName()
	}
	if err == nil {
		err = complete(s.Ref, files)
	}
	if err != nil {
		return nil, err
	}
	return files, nil
}

func (s *Snapshot) split() string {
	if s.Ref.Split == "" {
		return "train"
	}
	return s.Ref.Split
}

func dataExt(name string) string {
	for _, ext := range dataExts {
		if strings.HasSuffix(name, ext) {
			return ext
		}
	}
	return ""
}

// oneOrMore is a YAML value that is one string or a list of them.
type oneOrMore []string

// UnmarshalYAML implements yaml's interface.
func (l *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	var one string
	if n.Kind == yaml.ScalarNode {
		err := n.Decode(&one)
		*l = oneOrMore{one}
		return err
	}
	var many []string
	err := n.Decode(&many)
	*l = many
	return err
}

type cardFiles struct {
	Split string    `yaml:"split"`
	Path  oneOrMore `yaml:"path"`
}

type cardConfig struct {
	Name    string    `yaml:"config_name"`
	Default bool      `yaml:"default"`
	Dir     string    `yaml:"data_dir"`
	Files   yaml.Node `yaml:"data_files"`
}

// splits reads data_files in its three forms: a list of split and path, a list of
// paths, one path. Paths without split are the split train.
func (c cardConfig) splits() []cardFiles {
	var list []cardFiles
	var plain oneOrMore
	if c.Files.Decode(&list) == nil && len(list) > 0 && list[0].Path != nil {
		return list
	}
	if c.Files.Decode(&plain) == nil && len(plain) > 0 && plain[0] != "" {
		return []cardFiles{{"train", plain}}
	}
	return nil
}

// fromCard gives nil when the card says nothing of files.
func (s *Snapshot) fromCard(ctx context.Context) ([]File, error) {
	if _, ok := s.Find(CardName); !ok {
		return nil, nil
	}
	paths, err := s.Fetch(ctx, CardName)
	if err != nil {
		return nil, err
	}
	configs, err := readCard(paths[0])
	if err != nil || len(configs) == 0 {
		return nil, nil // a card that cannot be read says nothing of files; names decide
	}
	names := make([]string, len(configs))
	for i, c := range configs {
		names[i] = c.Name
	}
	i := pick(names, s.Ref.Path, func(i int) bool { return configs[i].Default })
	if i < 0 && s.Ref.Path != "" {
		return nil, nil // a folder, perhaps
	}
	if i < 0 {
		return nil, s.which(names)
	}
	if names[i] == "" {
		names[i] = "default"
	}
	var splits []string
	for _, e := range configs[i].splits() {
		splits = append(splits, e.Split)
		if e.Split != s.split() {
			continue
		}
		var files []File
		for _, f := range s.Files {
			if dataExt(f.Path) != "" && slices.ContainsFunc(e.Path, func(p string) bool { return globMatch(path.Join(configs[i].Dir, p), f.Path) }) {
				files = append(files, f)
			}
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s: split %s of configuration %s is %s, and of these no %s file is there", s.Ref, e.Split, names[i], strings.Join(e.Path, ", "), readFormats)
		}
		return files, nil
	}
	if splits == nil {
		return nil, nil
	}
	return nil, fmt.Errorf("%s: configuration %s has no split %q; it has %s", s.Ref, names[i], s.split(), strings.Join(splits, ", "))
}

func (s *Snapshot) which(names []string) error {
	slices.Sort(names)
	return fmt.Errorf("%s: the data set has several configurations: write one of them as in %s%s/%s#%s; there are %s",
		s.Ref, Scheme, s.Ref.Repo, names[0], s.split(), strings.Join(names, ", "))
}

// pick chooses a configuration; -1 is none.
func pick(names []string, want string, isDefault func(int) bool) int {
	if want != "" {
		return slices.Index(names, want)
	}
	for i := range names {
		if isDefault(i) {
			return i
		}
	}
	for _, n := range []string{"default", "main"} {
		if i := slices.Index(names, n); i >= 0 {
			return i
		}
	}
	if len(names) == 1 {
		return 0
	}
	return -1
}

// readCard reads the configurations in the front matter of a card.
func readCard(name string) ([]cardConfig, error) {
	b, err := paths.ReadFile(name, 1<<20)
	if err != nil {
		return nil, err
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	rest, ok := bytes.CutPrefix(b, []byte("---\n"))
	if !ok {
		return nil, nil
	}
	front, _, ok := bytes.Cut(rest, []byte("\n---"))
	if !ok {
		return nil, nil
	}
	var card struct {
		Configs []cardConfig `yaml:"configs"`
	}
	if err := yaml.Unmarshal(front, &card); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(card.Configs, func(c cardConfig) bool { return c.splits() == nil }), nil
}

// globMatch matches a path against a pattern in which ** crosses folders.
func globMatch(pattern, name string) bool {
	return globSegments(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

// globSegments compares from behind, segment by segment, so that a pattern of many **
// takes no more time than its length times the name's.
func globSegments(pattern, segs []string) bool {
	fits := make([]bool, len(segs)+1) // fits[j]: what is behind in the pattern matches segs[j:]
	fits[len(segs)] = true
	for i := len(pattern) - 1; i >= 0; i-- {
		if pattern[i] == "**" {
			for j := len(segs) - 1; j >= 0; j-- {
				fits[j] = fits[j] || fits[j+1]
			}
			continue
		}
		for j, seg := range segs {
			fits[j] = fits[j+1]
			if fits[j] {
				ok, err := path.Match(pattern[i], seg)
				fits[j] = ok && err == nil
			}
		}
		fits[len(segs)] = false
	}
	return fits[0]
}

// byName finds a split by the names of files and folders.
func (s *Snapshot) byName() ([]File, error) {
	below := ""
	if s.Ref.Path != "" {
		below = s.Ref.Path + "/"
	}
	splits := map[string][]File{}
	var folders []string
	for _, f := range s.Files {
		rel, ok := strings.CutPrefix(f.Path, below)
		if !ok || dataExt(f.Path) == "" || strings.HasPrefix(path.Base(f.Path), ".") {
			continue
		}
		segs := strings.Split(rel, "/")
		if len(segs) > 1 && segs[0] == "data" {
			segs = segs[1:]
		}
		name, ok := splitName(segs[0])
		if !ok && len(segs) > 1 && !slices.Contains(folders, segs[0]) {
			folders = append(folders, segs[0])
		}
		if ok {
			splits[name] = append(splits[name], f)
		}
	}
	if files := splits[s.split()]; files != nil {
		return oneFormat(files), nil
	}
	if len(splits) == 0 && len(folders) > 0 {
		i := pick(folders, "", func(int) bool { return false })
		if i < 0 {
			return nil, s.which(folders)
		}
		sub := *s
		sub.Ref.Path = below + folders[i]
		return sub.byName()
	}
	if len(splits) == 0 {
		return nil, fmt.Errorf("%s: no %s files of a split are there; name a file as in %s%s/path/to/file.jsonl",
			s.Ref, readFormats, Scheme, s.Ref.Repo)
	}
	var names []string
	for n := range splits {
		names = append(names, n)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%s: there is no split %q; there are %s", s.Ref, s.split(), strings.Join(names, ", "))
}

// splitWord is train in train.jsonl, train_0.parquet and the folder train.
var splitWord = regexp.MustCompile(`^([A-Za-z]+)([._-]?\d.*)?(\.parquet|\.jsonl?(\.gz|\.zst)?)?$`)

// splitNames are the words that stand for a split.
var splitNames = map[string]string{
	"train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
	"validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}

// splitName tells which split a file or folder of this name holds. Words that are
// not known are a split only in the form NAME-00000-of-00001.
func splitName(name string) (string, bool) {
	if m := shard.FindStringSubmatch(name); m != nil {
		name = m[1]
		if known, ok := splitNames[strings.ToLower(name)]; ok {
			name = known
		}
		return name, true
	}
	m := splitWord.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	s, ok := splitNames[strings.ToLower(m[1])]
	return s, ok
}

// oneFormat keeps the files of the best format where a split is there in several.
func oneFormat(files []File) []File {
	for _, ext := range dataExts {
		other := func(f File) bool { return dataExt(f.Path) != ext }
		if best := slices.DeleteFunc(slices.Clone(files), other); len(best) > 0 {
			return best
		}
	}
	return files
}

// shard matches NAME-00000-of-00002.parquet.
var shard = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.(?:parquet|jsonl?(?:\.gz|\.zst)?)$`)

// complete sees that no shard is missing, as it may in a cache that another program
// has filled for its own ends.
func complete(r Ref, files []File) error {
	seen := map[string]int{}
	of := map[string]int{}
	for _, f := range files {
		m := shard.FindStringSubmatch(f.Path)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[3])
		if err != nil {
			return err
		}
		seen[m[1]]++
		of[m[1]] = n
	}
	for name, n := range of {
		if seen[name] != n {
			return fmt.Errorf("%s: %d of the %d files of %s are there: load the rest while online", r, seen[name], n, name)
		}
	}
	return nil
}
