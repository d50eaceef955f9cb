package books

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Op is something that a client did and that was answered: commands that stand or fall together, mostly one, or a reading of an
// account. Called and Answered are by any clock that all clients share.
type Op struct {
	Called, Answered int64
	Commands         []Told
	Read             *Reading

	turn int // of those that were taken, in the order of positions
}

// Reading is what a client saw of an account. Version zero: there was none.
type Reading struct {
	Account          string
	Version, Balance int64
	Status           string // "" where the client did not look
}

// Forever is when an Op was answered that never was.
const Forever = math.MaxInt64

// CheckHistory checks that the history is linearizable: that there is one order of all that was done, in which each op lies between its
// call and its answer, commands are in the order of their positions, and a ledger that knows nothing of several processes gives just
// those answers. An op that nobody was told of counts if it has events. The order is that of all accounts together, so that of each
// account is linearizable too (I9).
func (b *Books) CheckHistory(history []Op, wrong Wrong) {
	var settled []*Op
	for _, op := range history {
		if op = b.settle(op); op.Read != nil || len(op.Commands) > 0 {
			settled = append(settled, &op)
		}
	}
	if !b.pin(settled) {
		wrong("what clients were answered contradicts the order of positions: the history is not linearizable")
		return
	}
	ops := make([]porcupine.Operation, len(settled))
	for i, op := range settled {
		ops[i] = porcupine.Operation{Input: op, Call: op.Called, Return: op.Answered}
	}
	switch porcupine.CheckOperationsTimeout(b.model(), ops, time.Minute) {
	case porcupine.Ok:
	case porcupine.Illegal:
		wrong("no order of what clients did gives the answers that they got: the history is not linearizable\n%s", b.stuck(ops))
	default:
		wrong("whether the history is linearizable could not be found out within a minute")
	}
}

// settle completes what a client was not told by what is in the books, and leaves out what had no effect and no reason.
func (b *Books) settle(op Op) Op {
	all := op.Commands
	op.Commands = nil
	for _, c := range all {
		if c.Became == Maybe {
			events := b.ByCommand[c.Key]
			if len(events) == 0 {
				continue
			}
			own := events[0]
			c.Became, c.Version, c.Position = Taken, own.Version, events[len(events)-1].Position
			c.Balance = b.History[own.AggregateID][own.Version-1].Balance
		}
		if c.Became != Nothing {
			op.Commands = append(op.Commands, c)
		}
	}
	return op
}

// model is the ledger that porcupine follows.
func (b *Books) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return ledger{} },
		Step: func(state, input, _ any) (bool, any) {
			l, _ := state.(ledger)
			op, _ := input.(*Op)
			if op.Read != nil {
				return l.shows(op.Read), l
			}
			return l.answers(b, op)
		},
		Equal: func(one, other any) bool {
			a, _ := one.(ledger)
			b, _ := other.(ledger)
			return a.turn == b.turn && a.corrected == b.corrected && maps.Equal(a.accounts, b.accounts)
		},
		DescribeOperation: func(input, _ any) string {
			op, _ := input.(*Op)
			if op.Read != nil {
				return fmt.Sprintf("read %+v", *op.Read)
			}
			return fmt.Sprintf("%+v", op.Commands)
		},
	}
}

// stuck tells of the longest order that could be found, and what could not follow.
func (b *Books) stuck(ops []porcupine.Operation) string {
	_, info := porcupine.CheckOperationsVerbose(b.model(), ops, time.Minute)
	var longest []int
	for _, orders := range info.PartialLinearizations() {
		for _, order := range orders {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	placed := map[int]bool{}
	for _, i := range longest {
		placed[i] = true
	}
	text, left := fmt.Sprintf("%d of %d could be put in order; of the others, the first called:", len(longest), len(ops)), 0
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return int(ops[i].Call - ops[j].Call) })
	for _, i := range order {
		if left < 5 && !placed[i] {
			left++
			text += fmt.Sprintf("\n[%d, %d] %s", ops[i].Call, ops[i].Return, b.model().DescribeOperation(ops[i].Input, nil))
		}
	}
	return text
}
