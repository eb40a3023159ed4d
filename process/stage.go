package process

// Stage is where a process stands, for people.
type Stage uint8

// Stages.
const (
	Seeking  Stage = iota // looks for a ring
	Asking                // has found one, and asks its leader to be let in
	Invited               // connects to the members of the view that it has been invited into
	Founding              // forms a first view with others
	Inside                // is a member of a view
	Ending                // and that is being brought to its end
	Blocked               // and too few of its members are left to go on
	Yielding              // and asks the leader of another ring, to give way to it
	Outside               // was a member: the ring has gone on without it
)

var stageNames = [...]string{"seeking", "asking", "invited", "founding", "inside", "ending", "blocked", "yielding", "outside"}

// String names the stage in one word.
func (s Stage) String() string { return stageNames[s] }

// Stage returns where the process stands, and whom it deals with there: the leader that
// is asked, or has invited; else 0.
func (p *Process) Stage() (s Stage, peer uint64) {
	switch k := &p.seek; {
	case p.site == nil && k.found != nil:
		return Founding, 0
	case p.site == nil && k.bid != nil:
		return Invited, k.bid.from
	case p.site == nil && k.asking != nil:
		return Asking, k.asking.ID
	case p.site == nil:
		return Seeking, 0
	case p.site.Out():
		return Outside, 0
	case p.merge.with != 0:
		return Yielding, p.merge.with
	case p.site.Blocked():
		return Blocked, 0
	case p.site.Ending():
		return Ending, 0
	}
	return Inside, 0
}
