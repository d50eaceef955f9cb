package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
	"daybook/adapters/wire"
	"daybook/app"
	"daybook/core/access"
)

const keysPath = "/v1/admin/keys"

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Make, list, rotate and revoke API keys",
		Long: `Make, list, rotate and revoke API keys. Without --server the access ledger of the configured store is opened: of an embedded store
while no server has it, of PostgreSQL at any time. This is how the first key is made. With --server the server is asked, as an
operator whose key is in ` + keyVariable + ` or in the file that ` + keyFileVariable + ` names.

A key is printed once, when it is made; only its hash is kept. Roles: customer (uses the accounts they own), teller (commands on
all accounts), auditor (reads everything), operator (runs the process: rebuilds, dead letters, archive, keys).`,
		Example: `  daybook keys create --subject ops --role operator
  daybook keys create --subject till-7 --role teller --expires 90d --server http://127.0.0.1:8080
  daybook keys list
  daybook keys rotate k3vq7m2a --grace 2d
  daybook keys revoke k3vq7m2a`,
	}
	cmd.AddCommand(newKeysCreate(), newKeysList(), newKeysRotate(), newKeysRevoke())
	return cmd
}

// keyFlags are what all commands on keys have.
type keyFlags struct {
	client clientFlags
	format format
}

func (k *keyFlags) add(cmd *cobra.Command) {
	k.client.patience = 30 * time.Second
	k.client.addInstead(cmd, "the access ledger")
	app.Flags(cmd.Flags())
	k.format.add(cmd, "table", "json", "ndjson")
}

// open gives the keys, where they lie or through a server. The function it gives back closes them.
func (k *keyFlags) open(cmd *cobra.Command) (access.Keyring, func() error, error) {
	if k.client.server != "" {
		client, err := k.client.open()
		if err != nil {
			return nil, nil, err
		}
		return serverKeys{client}, func() error { client.Close(); return nil }, nil
	}
	c, _, err := app.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return nil, nil, err
	}
	if c.Store.Driver == "memory" {
		return nil, nil, usageError{errors.New("the keys in memory belong to the process that has them: name that with --server")}
	}
	return app.OpenKeys(c, app.NewLogger(c, cmd.ErrOrStderr()))
}

// use does something with the keys, as who is on the machine itself.
func (k *keyFlags) use(cmd *cobra.Command, do func(ctx context.Context, keys access.Keyring) error) error {
	keys, end, err := k.open(cmd)
	if err != nil {
		return err
	}
	ctx := access.WithReason(access.As(cmd.Context(), access.Local), k.client.reason)
	return errors.Join(do(ctx, keys), end())
}

func newKeysCreate() *cobra.Command {
	var flags keyFlags
	var subject, expires string
	var roles []string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a key and print it, this once", Args: cobra.NoArgs,
		Example: `  daybook keys create --subject ops --role operator
  daybook keys create --subject alice --role customer --expires 90d`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n := access.NewKey{Subject: subject}
			for _, name := range roles {
				n.Roles = append(n.Roles, access.Role(name))
			}
			if expires != "" {
				life, err := parseLife(expires)
				if err != nil {
					return usageError{fmt.Errorf("--expires: %w", err)}
				}
				n.Expires = time.Now().Add(life)
			}
			return flags.use(cmd, func(ctx context.Context, keys access.Keyring) error {
				key, secret, err := keys.Create(ctx, n)
				return flags.printSecret(cmd, key, secret, err)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&subject, "subject", "", "whom the key is for: the name that events and accounts will have")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "customer, teller, auditor or operator; may be given again")
	cmd.Flags().StringVar(&expires, "expires", "", "after how long the key ends, such as 90d or 12h; without it, never")
	_ = cmd.MarkFlagRequired("subject") // it was declared above
	_ = cmd.MarkFlagRequired("role")    // it was declared above
	return cmd
}

func newKeysList() *cobra.Command {
	var flags keyFlags
	cmd := &cobra.Command{
		Use: "list", Short: "All keys, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := newList(cmd.OutOrStdout(), &flags.format, column{"prefix", "prefix", 8}, column{"subject", "subject", 8}, column{"roles", "roles", 8},
				column{"created", "created", 20}, column{"expires", "expires", 7}, column{"revoked", "revoked", 7}, column{"last used", "lastUsed", 9})
			err := flags.use(cmd, func(ctx context.Context, keys access.Keyring) error {
				all, err := keys.List(ctx)
				for i := range all {
					var item jsontext.Value
					if item, err = json.Marshal(wire.KeyOf(all[i], "")); err == nil {
						err = l.add(item)
					}
					if err != nil {
						return err
					}
				}
				return err
			})
			if err != nil {
				return err
			}
			return l.end()
		},
	}
	flags.add(cmd)
	return cmd
}

func newKeysRotate() *cobra.Command {
	var flags keyFlags
	var grace string
	cmd := &cobra.Command{
		Use: "rotate PREFIX", Short: "Make a new key in the place of one, which ends after a grace", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseLife(grace)
			if err != nil {
				return usageError{fmt.Errorf("--grace: %w", err)}
			}
			return flags.use(cmd, func(ctx context.Context, keys access.Keyring) error {
				key, secret, err := keys.Rotate(ctx, args[0], d)
				return flags.printSecret(cmd, key, secret, err)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&grace, "grace", "1d", "how long the old key goes on, such as 2h; 0s ends it at once")
	return cmd
}

func newKeysRevoke() *cobra.Command {
	var flags keyFlags
	cmd := &cobra.Command{
		Use: "revoke PREFIX", Short: "End a key at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.use(cmd, func(ctx context.Context, keys access.Keyring) error {
				key, err := keys.Revoke(ctx, args[0])
				if err != nil {
					return err
				}
				return flags.print(cmd, key, "", "The key "+key.Prefix+" of "+key.Subject+" has ended.")
			})
		},
	}
	flags.add(cmd)
	return cmd
}

// printSecret prints a new key: the key itself alone on standard output, so that it can go straight into a file.
func (k *keyFlags) printSecret(cmd *cobra.Command, key access.Key, secret string, err error) error {
	if err != nil {
		return err
	}
	say(cmd.ErrOrStderr(), "The key %s is for %s as %s. It is shown this once:\n", harmless(key.Prefix), harmless(key.Subject), harmless(roleNames(key.Roles)))
	return k.print(cmd, key, secret, secret)
}

func (k *keyFlags) print(cmd *cobra.Command, key access.Key, secret, words string) error {
	if k.format.name == "table" {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), harmless(words))
		return err
	}
	object, err := json.Marshal(wire.KeyOf(key, secret))
	if err != nil {
		return err
	}
	return printObject(cmd.OutOrStdout(), &k.format, object)
}

func roleNames(roles []access.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// parseLife reads a time such as 90d, or what Go calls a duration.
func parseLife(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time like 90d or 12h", text)
	}
	return d, nil
}

// serverKeys are the keys of a running server.
type serverKeys struct{ client *apiclient.Client }

func keyFrom(raw jsontext.Value, err error) (access.Key, string, error) {
	var k wire.Key
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	return k.Key(), k.Secret, err
}

// Create implements access.Keyring.
func (s serverKeys) Create(ctx context.Context, n access.NewKey) (access.Key, string, error) {
	request := struct {
		Subject string        `json:"subject"`
		Roles   []access.Role `json:"roles"`
		Expires time.Time     `json:"expires,omitzero"`
	}{n.Subject, n.Roles, n.Expires.UTC().Truncate(time.Second)}
	body, err := json.Marshal(request)
	if err != nil {
		return access.Key{}, "", err
	}
	return keyFrom(s.client.PostJSON(ctx, keysPath, body))
}

// List implements access.Keyring.
func (s serverKeys) List(ctx context.Context) (all []access.Key, err error) {
	var broken error
	err = s.client.Items(ctx, keysPath, nil, func(item jsontext.Value) bool {
		var k access.Key
		if k, _, broken = keyFrom(item, nil); broken == nil {
			all = append(all, k)
		}
		return broken == nil
	})
	return all, errors.Join(err, broken)
}

// Rotate implements access.Keyring.
func (s serverKeys) Rotate(ctx context.Context, prefix string, grace time.Duration) (access.Key, string, error) {
	query := url.Values{"graceSeconds": {strconv.FormatInt(int64(grace/time.Second), 10)}}
	return keyFrom(s.client.Post(ctx, keysPath+"/"+apiclient.Segment(prefix)+"/rotate", query))
}

// Revoke implements access.Keyring.
func (s serverKeys) Revoke(ctx context.Context, prefix string) (access.Key, error) {
	k, _, err := keyFrom(s.client.Post(ctx, keysPath+"/"+apiclient.Segment(prefix)+"/revoke", nil))
	return k, err
}
