package access

import "slices"

// Operation is what somebody asks to be done. Each command of a module and each route is one of them.
type Operation string

// What commands are. Each type of command declares one of these.
const (
	Create  Operation = "create"  // bring an aggregate into being
	PayIn   Operation = "pay in"  // needs no right on the aggregate: whoever may not read it is told no more of it than that it exists, and its currency
	Use     Operation = "use"     // what owners and holders do: pay out, transfer, close
	Entrust Operation = "entrust" // name those who may use it beside the owner
	Govern  Operation = "govern"  // limits, freezes, corrections
)

// What else can be asked.
const (
	Read        Operation = "read"         // one aggregate: its document, history, statement, events and their proofs; and lists of them
	Feed        Operation = "feed"         // all events
	Export      Operation = "export"       // the whole ledger
	Checkpoint  Operation = "checkpoint"   // the signed root over all events
	Status      Operation = "status"       // how far the parts of the process are
	Operations  Operation = "operations"   // how a rebuild or an archival stands
	Rebuild     Operation = "rebuild"      // the views
	Archive     Operation = "archive"      // move old events
	Backup      Operation = "backup"       // copy the store
	DeadLetters Operation = "dead letters" // look at them, send them again, discard them
	Keys        Operation = "keys"         // make and revoke API keys
	Audit       Operation = "audit"        // read the audit log
	Public      Operation = "public"       // health and documentation: for everybody, and nobody is asked who they are
)

// Reach is on which aggregates something may be done. Each reach takes in those before it.
type Reach uint8

// The reaches.
const (
	None  Reach = iota // nothing
	Owned              // on those whose owner asks
	Held               // on those whose owner or holder asks
	All                // on all, and where no aggregate is concerned
)

// policy is all of it: what is not here may not be done.
var policy = map[Operation]map[Role]Reach{
	Create:      {Customer: Owned, Teller: All},
	PayIn:       {Customer: All, Teller: All},
	Use:         {Customer: Held, Teller: All},
	Entrust:     {Customer: Owned, Teller: All},
	Govern:      {Teller: All},
	Read:        {Customer: Held, Teller: All, Auditor: All},
	Feed:        {Teller: All, Auditor: All},
	Export:      {Auditor: All},
	Checkpoint:  {Auditor: All},
	Status:      {Auditor: All, Operator: All},
	Operations:  {Operator: All},
	Rebuild:     {Operator: All},
	Archive:     {Operator: All},
	Backup:      {Operator: All},
	DeadLetters: {Operator: All},
	Keys:        {Operator: All},
	Audit:       {Auditor: All},
}

// OfCommand reports whether a command may declare the operation as what it is.
func (o Operation) OfCommand() bool {
	return slices.Contains([]Operation{Create, PayIn, Use, Entrust, Govern}, o)
}

// Reach is how far the policy lets a role go with the operation.
func (o Operation) Reach(r Role) Reach { return policy[o][r] }

// Grant is how far somebody may go with one operation. The zero Grant is nothing.
type Grant struct {
	Subject string
	Reach   Reach
}

// Grant asks the policy: the widest reach of the principal's roles. The error is ErrUnauthenticated where nobody asks and
// ErrForbidden where no role allows the operation.
func (p *Principal) Grant(o Operation) (Grant, error) {
	if p == nil || p.Subject == "" {
		return Grant{}, ErrUnauthenticated
	}
	g := Grant{Subject: p.Subject}
	for _, r := range p.Roles {
		g.Reach = max(g.Reach, o.Reach(r))
	}
	if g.Reach == None {
		return Grant{}, ErrForbidden
	}
	return g, nil
}

// Reads reports whether a grant is for something with these readers, the owner first.
func (g Grant) Reads(readers []string) bool {
	if len(readers) == 0 {
		return g.Reach == All
	}
	return g.Covers(readers[0], readers[1:])
}

// Watched reports whether it is written down, before it is answered, that the principal reads with the operation. Auditors and operators
// see what is not theirs and not their daily work, as it is that of tellers. Of Local nobody knows who it is.
func (p *Principal) Watched(o Operation) bool {
	switch o {
	case Read, Feed, Export, DeadLetters, Keys, Audit:
		return p != Local && p.Has(Auditor, Operator)
	}
	return false
}

// Covers reports whether the grant is for the aggregate of this owner and these holders. "" owns nothing.
func (g Grant) Covers(owner string, holders []string) bool {
	switch g.Reach {
	case All:
		return true
	case Held:
		return g.Subject != "" && (owner == g.Subject || slices.Contains(holders, g.Subject))
	case Owned:
		return g.Subject != "" && owner == g.Subject
	}
	return false
}
