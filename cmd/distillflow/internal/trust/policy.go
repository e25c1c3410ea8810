package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Policy is what a user allows. The zero value allows what any recipe may do.
type Policy struct {
	Exec  bool     // all commands
	Save  bool     // all targets of save:
	Hosts []string // that keys may go to, as HOST or HOST:PORT
	File  *File    // what is remembered
	// Params says that the values of the params that [recipe.FromSet] gave are the user's
	// own words: a server and a target that they name are wanted.
	Params bool
	Getenv func(string) string
	Dir    string // the working directory; "" for none
}

// Question is something that a recipe wants to do and nobody has allowed.
type Question struct {
	Node *graph.Node
	What string // in words
	Flag string // that allows it
	Save bool   // asked by save:, not by the stage itself
	Line Line   // that remembers it
}

// Questions finds what of a recipe nobody has allowed. The commands that a lock allows count
// if the recipe follows it: lock is its text, "" for none.
func (p Policy) Questions(ctx context.Context, g *graph.Graph, lock string) ([]Question, error) {
	if p.trustsFolder(g.Recipe) {
		return nil, nil
	}
	var out []Question
	content := contentOf(g.Recipe)
	leaks := leaks{p: p, r: g.Recipe, of: map[*graph.Node][]string{}}
	for _, n := range g.Nodes {
		if n.Skip {
			continue
		}
		r := n.Config.Reach(p.Getenv)
		for _, c := range r.Commands {
			if p.Exec {
				break
			}
			id, err := commandID(ctx, n, c)
			if err != nil {
				return nil, err
			}
			line := Line{"exec", digest(content, id), about(n, CommandText(c))}
			if !p.File.allows(line.Kind, line.What) && (lock == "" || !p.File.allows("exec", digest(lock, id))) {
				out = append(out, Question{Node: n, Flag: "--allow-exec", Line: line,
					What: fmt.Sprintf("run a program with all that you may do: %s", CommandText(c))})
			}
		}
		for _, s := range r.Servers {
			if p.knowsServer(g.Recipe, s.URL) {
				continue
			}
			host, stranger := hostOf(s.URL), !s.Known || p.strangersKey(g.Recipe, s.Key)
			var what, read []string
			if !s.Own {
				what = append(what, "the key in "+text.OneLine(s.Key))
			}
			if stranger {
				if read = append(slices.Clip(leaks.from(ctx, n)), p.variables(g.Recipe)...); len(read) > 0 {
					what = append(what, "what it reads outside of its project ("+some(read)+")")
				}
			}
			line := Line{"host", host, about(n, "")}
			if s.Own {
				line = Line{"send", digest(append([]string{host}, read...)...), about(n, some(read)+" to "+s.URL)}
			}
			if len(what) > 0 && !p.File.allows(line.Kind, line.What) {
				out = append(out, Question{Node: n, Flag: "--allow-host " + text.ShellWord(host), Line: line,
					What: fmt.Sprintf("send %s to %s", strings.Join(what, " and "), address(s.URL))})
			}
		}
		if target := n.Stage.SavePath(); target != "" && !p.Save && !p.ownTarget(g.Recipe, target) {
			real := realPath(target)
			line := Line{"save", digest(content, real), about(n, real)}
			if !p.File.allows(line.Kind, line.What) {
				out = append(out, Question{Node: n, Flag: "--allow-save", Save: true, Line: line,
					What: "write outside its folder: " + text.OneLine(real)})
			}
		}
	}
	return out, nil
}

// Locked gives the lines that allow the commands of a recipe wherever it follows a lock.
func Locked(ctx context.Context, g *graph.Graph, getenv func(string) string, lock string) ([]Line, error) {
	var out []Line
	for _, n := range g.Nodes {
		if n.Skip {
			continue
		}
		for _, c := range n.Config.Reach(getenv).Commands {
			id, err := commandID(ctx, n, c)
			if err != nil {
				return nil, err
			}
			out = append(out, Line{"exec", digest(lock, id), about(n, "locked: "+CommandText(c))})
		}
	}
	return out, nil
}

func about(n *graph.Node, what string) string {
	abs, err := filepath.Abs(n.Stage.NamePos.File)
	if err != nil {
		abs = n.Stage.NamePos.File
	}
	return text.OneLine("# " + n.Stage.Base + " of " + abs + " " + what)
}

// Show lists questions, each once.
func Show(w io.Writer, list []Question) error {
	var b strings.Builder
	for i, q := range list {
		if slices.ContainsFunc(list[:i], func(o Question) bool { return o.Line == q.Line }) {
			continue
		}
		fmt.Fprintf(&b, "  stage %s wants to %s\n", q.Node.Stage.Base, q.What)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Flags are what allows all questions on a command line.
func Flags(list []Question) string {
	var flags []string
	for _, q := range list {
		if !slices.Contains(flags, q.Flag) {
			flags = append(flags, q.Flag)
		}
	}
	return strings.Join(flags, " ")
}

// contentOf is the text of a recipe: of all files that it is made of.
func contentOf(r *recipe.Recipe) string {
	h := sha256.New()
	for _, f := range r.Files {
		if f.Role == recipe.ParamsFile {
			continue
		}
		t, _ := r.Sources.Text(f.Path)
		fmt.Fprintf(h, "%d\n%s", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// commandID stands for a command and the content of its files.
func commandID(ctx context.Context, n *graph.Node, c stage.Command) (string, error) {
	files, err := n.Config.Externals(ctx)
	if err != nil {
		return "", err
	}
	var sums [][2]string
	for _, f := range files {
		h := sha256.New()
		r, err := os.Open(f.Path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, r)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return "", err
		}
		sums = append(sums, [2]string{f.Name, hex.EncodeToString(h.Sum(nil))})
	}
	c.Files = nil // their content counts
	b, err := json.Marshal([]any{n.Type.Type, c, sums})
	return string(b), err
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Folder is a recipe's folder, without links.
func Folder(r *recipe.Recipe) string { return realPath(r.Dir) }

// MayTrustFolder reports whether it is sensible to trust all recipes in a recipe's folder: it
// is not the user's home, nor one around it.
func (p Policy) MayTrustFolder(r *recipe.Recipe) bool { return !p.tooWide(Folder(r)) }

// trustsFolder reports whether all files of a recipe lie in a folder that the user trusts.
func (p Policy) trustsFolder(r *recipe.Recipe) bool {
	folders := p.File.each("folder")
	return len(folders) > 0 && !slices.ContainsFunc(r.Files, func(f recipe.File) bool {
		path := realPath(f.Path)
		return f.Role != recipe.ParamsFile && !slices.ContainsFunc(folders, func(dir string) bool {
			return filepath.IsAbs(dir) && below(realPath(dir), path)
		})
	})
}

// hostOf is the host of an address with its port, if it names one.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return strings.ToLower(u.Host)
}

// knowsServer reports whether keys may go to a server: one of this machine, or one that the
// user has named.
func (p Policy) knowsServer(r *recipe.Recipe, address string) bool {
	host := hostOf(address)
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if ip, err := netip.ParseAddr(name); name == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	named := slices.Concat(p.Hosts, p.File.each("host"))
	if p.Params {
		for _, v := range given(r) {
			named = append(named, hostOf(v))
		}
	}
	return slices.ContainsFunc(named, func(n string) bool {
		n = strings.ToLower(strings.TrimSpace(n))
		return n == host || n == name
	})
}

// given are the texts in params that the command line gave.
func given(r *recipe.Recipe) []string {
	var out []string
	var collect func(v *recipe.Value)
	collect = func(v *recipe.Value) {
		if v == nil {
			return
		}
		if v.Kind == recipe.String {
			out = append(out, v.Str)
		}
		for _, it := range v.Items {
			collect(it)
		}
		for _, e := range v.Entries {
			collect(e.Val)
		}
	}
	for _, par := range r.Params {
		if par.Origin == recipe.FromSet {
			collect(par.Value)
		}
	}
	return out
}

// ownTarget reports whether a recipe may save to a place: to its own folder and those that
// surely belong to its project, where nothing is hidden on the way. A name that begins
// with a dot is one that other programs obey.
func (p Policy) ownTarget(r *recipe.Recipe, target string) bool {
	real, own := realPath(target), realPath(r.Dir)
	dirs := []string{own}
	for _, dir := range []string{filepath.Dir(own), repositoryOf(own), p.cwd()} {
		if !p.tooWide(dir) {
			dirs = append(dirs, dir)
		}
	}
	return within(real, dirs) || p.names(r, real)
}

// ownRead reports whether a recipe may read a file and tell strangers of it: one of its own
// folder or of the Git work tree around it, that nothing hides.
func (p Policy) ownRead(r *recipe.Recipe, path string) bool {
	real, own := realPath(path), realPath(r.Dir)
	dirs := slices.DeleteFunc([]string{own, repositoryOf(own)}, p.tooWide)
	return within(real, dirs) || p.names(r, real)
}

// tooWide reports whether a folder is none, the whole machine, or holds the user's home.
func (p Policy) tooWide(dir string) bool {
	home := p.Getenv("HOME")
	return dir == "" || dir == filepath.Dir(dir) || home != "" && below(dir, realPath(home))
}

func (p Policy) cwd() string {
	if p.Dir == "" {
		return ""
	}
	return realPath(p.Dir)
}

// within reports whether a path lies in one of the folders, without a hidden name below it.
func within(real string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		rel, err := filepath.Rel(dir, real)
		return err == nil && filepath.IsLocal(rel) && !hidden(rel)
	})
}

// names reports whether the user has named a path, or a folder that holds it, on the command
// line.
func (p Policy) names(r *recipe.Recipe, real string) bool {
	if p.Params {
		return slices.ContainsFunc(given(r), func(v string) bool {
			if v == "" {
				return false
			}
			if !filepath.IsAbs(v) {
				v = filepath.Join(p.Dir, v)
			}
			return filepath.IsAbs(v) && below(realPath(v), real)
		})
	}
	return false
}

func hidden(rel string) bool {
	return slices.ContainsFunc(strings.Split(filepath.ToSlash(rel), "/"), func(name string) bool { return strings.HasPrefix(name, ".") && name != "." })
}

// repositoryOf is the folder of the Git work tree around a folder; "" if there is none.
func repositoryOf(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
