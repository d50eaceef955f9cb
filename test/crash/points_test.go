package crash

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"daybook/test/faultbuild"
	"daybook/test/faulttable"
)

var (
	seed  = flag.Uint64("seed", 0, "what the random choices of the first life follow from; 0: another one each time")
	seeds = flag.Int("seeds", 1, "how many lives of each scene, each with the next seed")
	kills = flag.Int("kills", 6, "how often a program is killed at any moment")
	point = flag.String("point", "", "the one crash point to die at")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) / uint64(time.Millisecond)
	}
	fmt.Printf("seed: %s\n", again())
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// again are the flags that repeat the random choices of this run.
func again() string {
	if *seeds == 1 {
		return fmt.Sprintf("-seed=%d", *seed)
	}
	return fmt.Sprintf("-seed=%d -seeds=%d", *seed, *seeds)
}

func TestAProgramThatDiesDuringItsFirstStartStartsThen(t *testing.T) {
	diesIn(t, faultbuild.Embedded, faultbuild.Beginning)
}

func TestAProgramThatDiesDuringItsFirstStartOnServersStartsThen(t *testing.T) {
	diesIn(t, faultbuild.Production, faultbuild.Beginning)
}

func TestACommandHasOneEffectOrNoneWhereverTheProgramDies(t *testing.T) {
	faulttable.Covers(t, "F1", faulttable.Embedded, again())
	faulttable.Covers(t, "F2", faulttable.Embedded, again())
	diesIn(t, faultbuild.Embedded, faultbuild.Command)
}

func TestACommandHasOneEffectOrNoneWhereverTheProgramOnServersDies(t *testing.T) {
	faulttable.Covers(t, "F1", faulttable.Production, again())
	faulttable.Covers(t, "F2", faulttable.Production, again())
	diesIn(t, faultbuild.Production, faultbuild.Command)
}

func TestACommandByMessageIsAppliedOnceAndAnsweredWhereverTheProgramDies(t *testing.T) {
	faulttable.Covers(t, "F1", faulttable.Production, again())
	faulttable.Covers(t, "F2", faulttable.Production, again())
	diesIn(t, faultbuild.Production, faultbuild.Message)
}

func TestTheBusAndTheViewsGetEachEventWhereverTheProgramDies(t *testing.T) {
	faulttable.Covers(t, "F5", faulttable.Embedded, again())
	diesIn(t, faultbuild.Embedded, faultbuild.Follower)
}

func TestTheBusAndTheViewsGetEachEventWhereverTheProgramOnServersDies(t *testing.T) {
	faulttable.Covers(t, "F3", faulttable.Production, again())
	faulttable.Covers(t, "F4", faulttable.Production, again())
	faulttable.Covers(t, "F5", faulttable.Production, again())
	diesIn(t, faultbuild.Production, faultbuild.Follower)
}

func TestSnapshotsAreNeverWrongWhereverTheProgramDies(t *testing.T) {
	diesIn(t, faultbuild.Embedded, faultbuild.Snapshot)
}

func TestSnapshotsAreNeverWrongWhereverTheProgramOnServersDies(t *testing.T) {
	diesIn(t, faultbuild.Production, faultbuild.Snapshot)
}

func TestARebuildLeavesTheOldViewsOrTheNewWhereverTheProgramDies(t *testing.T) {
	faulttable.Covers(t, "F56", faulttable.Embedded, again())
	diesIn(t, faultbuild.Embedded, faultbuild.Rebuild)
}

func TestARebuildLeavesTheOldViewsOrTheNewWhereverTheProgramOnServersDies(t *testing.T) {
	faulttable.Covers(t, "F56", faulttable.Production, again())
	diesIn(t, faultbuild.Production, faultbuild.Rebuild)
}

func TestEachEventIsInTheStoreOrTheArchiveWhereverTheProgramDies(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Embedded, again())
	diesIn(t, faultbuild.Embedded, faultbuild.Archive)
}

func TestEachEventIsInTheStoreOrTheArchiveWhereverTheProgramOnServersDies(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Production, again())
	diesIn(t, faultbuild.Production, faultbuild.Archive)
}

func TestABackupIsWholeOrHasNoNameWhereverTheProgramDies(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.Embedded, again())
	diesIn(t, faultbuild.Embedded, faultbuild.Backup)
}

func TestARestoreIsWholeOrNoStoreWhereverItDies(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.Embedded, again())
	diesIn(t, faultbuild.Embedded, faultbuild.Restore)
}

// diesIn lets programs live for as many seeds as are asked for.
func diesIn(t *testing.T, on faultbuild.On, scene faultbuild.Scene) {
	t.Helper()
	points := faultbuild.Points()
	points = slices.DeleteFunc(points, func(p faultbuild.Point) bool {
		return p.Scene != scene || p.On&on == 0 || *point != "" && p.Name != *point
	})
	if len(points) == 0 {
		t.Skipf("-point=%s is none of them", *point)
	}
	for n := range *seeds {
		one := *seed + uint64(n)
		t.Run(fmt.Sprint("seed=", one), func(t *testing.T) { lives(t, on, one, slices.Clone(points)) })
	}
}

// lives lets a program die at each of the points, one after another in any order, under load, and judges it then.
func lives(t *testing.T, on faultbuild.On, seed uint64, points []faultbuild.Point) {
	t.Helper()
	l := born(t, on, seed)
	l.random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	if points[0].Scene != faultbuild.Beginning {
		l.begin()
	}
	for _, p := range points {
		l.die(p)
	}
	if points[0].Scene == faultbuild.Beginning {
		l.program.Stop()
		l.begin()
	}
	l.judge()
}
