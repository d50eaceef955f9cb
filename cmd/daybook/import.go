package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
	"daybook/adapters/importer"
)

// importing is what `import` was asked for.
type importing struct {
	clientFlags
	format  format
	mapping string
	rejects string
	retry   bool
}

func newImport() *cobra.Command {
	var i importing
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Post the rows of a CSV file, or NDJSON envelopes",
		Long: `Post the rows of a CSV file (plain or gzip), turned into deposits and withdrawals by a mapping; or, without a mapping, a
file with one command envelope a line. "-" is standard input.

Every row has an id of its own, so an import can be stopped anywhere, or fail, and be run again: it goes on where it was, and
nothing is posted twice. Rows that cannot be used go to FILE.rejects.csv with their line and the reason, and the rest go on.
Mend them there, or remove the cause, and send them again with --retry-rejected.`,
		Example: `  daybook import savings.csv.gz --mapping configs/import/savings.yaml
  daybook import savings.csv.gz --mapping configs/import/savings.yaml --retry-rejected
  daybook import commands.ndjson
  zcat all.csv.gz | daybook import - --mapping bank.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd, args[0]) },
	}
	i.add(cmd)
	i.format.add(cmd, "table", "json")
	cmd.Flags().StringVar(&i.mapping, "mapping", "", "which columns are what (YAML; see configs/import); none for NDJSON")
	cmd.Flags().StringVar(&i.rejects, "rejects", "", "where rows go that cannot be used (default FILE.rejects.csv)")
	cmd.Flags().BoolVar(&i.retry, "retry-rejected", false, "send the rows of the rejects file again instead of FILE")
	return cmd
}

func (i *importing) run(cmd *cobra.Command, name string) error {
	client, err := i.open()
	if err != nil {
		return err
	}
	defer client.Close()
	files, err := i.files(cmd, name)
	if err != nil {
		return err
	}
	defer files.close()
	run, err := files.begin(client, i.retry)
	if err != nil {
		return err
	}
	begun := time.Now()
	sending := i.send(cmd, client, run, files)
	if err := files.end(run.Finish(), sending, i.retry); err != nil {
		return err
	}
	if sending != nil && run.Counts().Rows == 0 {
		return sending // it did not even begin
	}
	if err := i.summary(cmd, name, run.Counts(), time.Since(begun)); err != nil {
		return err
	}
	return i.verdict(cmd, files, run.Counts(), sending)
}

// send streams the run's lines to the server. The first interrupt ends the reading of rows; what was sent is still answered.
func (i *importing) send(cmd *cobra.Command, client *apiclient.Client, run *importer.Run, files *importFiles) error {
	soft, stop := stopSignals(cmd.Context())
	defer stop()
	m := startMeter(cmd.ErrOrStderr(), "import", "rows", func() (int64, int64, int64) {
		return files.read.Load(), files.size, int64(run.Counts().Rows)
	})
	defer m.stop()
	exchange := apiclient.Exchange[importer.Line]{
		Client: client,
		Next: func(ctx context.Context) (apiclient.Line[importer.Line], error) {
			if soft.Err() != nil {
				return apiclient.Line[importer.Line]{}, errStopped
			}
			line, err := run.Next(ctx)
			return apiclient.Line[importer.Line]{ID: line.ID, JSON: line.JSON, What: line}, err
		},
		Took: func(line importer.Line, a apiclient.Answer) { run.Answered(line, answerOf(a)) },
		Broken: func(err error, again time.Duration) {
			say(cmd.ErrOrStderr(), "%v; trying again in %v\n", err, again)
		},
	}
	return exchange.Run(context.WithoutCancel(cmd.Context()))
}

var errStopped = errors.New("stopped before the end of the file")

func answerOf(a apiclient.Answer) importer.Answer {
	answer := importer.Answer{Status: a.Status, Replayed: a.Replayed, Resent: a.Resent, Position: a.Position}
	if a.Error != nil {
		answer.Code, answer.Reason = a.Error.Code, a.Error.Error()
	}
	return answer
}

// summary prints what became of the rows.
func (i *importing) summary(cmd *cobra.Command, name string, c importer.Counts, took time.Duration) error {
	rate := int(float64(c.Rows) / max(took.Seconds(), 0.001))
	if i.format.name == "json" {
		body, err := json.Marshal(struct {
			File string `json:"file"`
			importer.Counts
			Seconds       float64 `json:"seconds"`
			RowsPerSecond int     `json:"rowsPerSecond"`
		}{name, c, float64(took.Milliseconds()) / 1000, rate})
		if err != nil {
			return err
		}
		return printObject(cmd.OutOrStdout(), &i.format, body)
	}
	return printTable(cmd, []string{"accounts", "created", "posted", "already there", "skipped", "rejected", "seconds", "rows/s"}, [][]string{{
		fmt.Sprint(c.Accounts), fmt.Sprint(c.Created), fmt.Sprint(c.Posted), fmt.Sprint(c.AlreadyThere), fmt.Sprint(c.Skipped), fmt.Sprint(c.Rejected),
		fmt.Sprintf("%.1f", took.Seconds()), fmt.Sprint(rate),
	}})
}

// verdict says in words what a person should do next, and is the error that the command ends with.
func (i *importing) verdict(cmd *cobra.Command, files *importFiles, c importer.Counts, sending error) error {
	if c.RepeatedIDs > 0 {
		say(cmd.ErrOrStderr(), "%d rows carry an id that was used before in this very run, and were not posted again: an earlier row has it, or another import of the file runs at the same time. If they are rows of their own, name more columns as id.\n", c.RepeatedIDs)
	}
	var rejected error
	if c.Rejected > 0 {
		rejected = rejectedError{fmt.Errorf("%d rows were rejected; %s holds them and the reasons. Mend them there, or remove the cause, and run the same command with --retry-rejected", c.Rejected, files.rejects)}
	}
	if sending == nil {
		return rejected
	}
	if rejected != nil {
		say(cmd.ErrOrStderr(), "daybook: %v\n", rejected)
	}
	return fmt.Errorf("%w. Run the same command again to go on; nothing is posted twice", sending)
}
