package stage

// Reach is what a stage does beyond reading its inputs and files and writing its outputs:
// what somebody wants to know before a recipe of somebody else's runs.
type Reach struct {
	Commands []Command
	Servers  []Server
}

// Command is a program that a stage starts, with all that its user may do.
type Command struct {
	Args    []string          `json:"args"`               // the program and its arguments, as the recipe gives them
	Files   []string          `json:"files,omitempty"`    // scripts and other files that it reads
	Env     map[string]string `json:"env,omitempty"`      // variables that the recipe sets
	PassEnv []string          `json:"pass_env,omitempty"` // variables of the user's environment that it gets
	Image   string            `json:"image,omitempty"`    // of the container that it runs in; "": none
	Runtime string            `json:"runtime,omitempty"`  // the program that runs the container
	Network bool              `json:"network,omitempty"`  // the container may use the network
}

// Server is a server that a stage talks to.
type Server struct {
	URL string `json:"url"`
	// Key is where the key comes from that the server gets: the name of an environment
	// variable, or a file, which then is a path with a separator. "" sends none.
	Key string `json:"key,omitempty"`
	// Own says that the key goes where it belongs: to whom gave it out, or to the server
	// that the user's environment names.
	Own bool `json:"own,omitempty"`
	// Known says that the server is a provider's, or the one that the user's environment
	// names: nobody who wrote a recipe reads there what it gets.
	Known bool `json:"known,omitempty"`
}

// Reaching is implemented by configs whose stage starts programs or talks to servers.
// getenv is the user's environment.
type Reaching interface {
	Reach(getenv func(string) string) Reach
}

// Reach says what the stage does beyond its inputs and outputs.
func (c *Config) Reach(getenv func(string) string) Reach {
	if r, ok := c.v.Interface().(Reaching); ok {
		return r.Reach(getenv)
	}
	return Reach{}
}
