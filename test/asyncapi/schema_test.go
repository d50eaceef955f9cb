package asyncapi

import (
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"
)

// problems says what is wrong with a value by a schema of the document. It knows the words of JSON Schema that the document uses,
// and no others.
func (d document) problems(schema any, value any, at string) []string {
	s, isObject := d.resolve(schema).(map[string]any)
	if !isObject {
		return []string{at + ": its schema is no object"}
	}
	var found []string
	add := func(format string, args ...any) { found = append(found, at+": "+fmt.Sprintf(format, args...)) }
	for word, rule := range s {
		switch word {
		case "description", "properties", "additionalProperties": // below
		case "type":
			if got := typeOf(value); got != rule {
				add("is a %s, not a %s", got, rule)
			}
		case "const":
			if fmt.Sprint(value) != fmt.Sprint(rule) {
				add("is %v, not %v", value, rule)
			}
		case "enum":
			if !slices.ContainsFunc(rule.([]any), func(v any) bool { return fmt.Sprint(v) == fmt.Sprint(value) }) {
				add("%v is none of %v", value, rule)
			}
		case "pattern":
			if text, _ := value.(string); !regexp.MustCompile(rule.(string)).MatchString(text) {
				add("%q does not match %s", text, rule)
			}
		case "format":
			if text, _ := value.(string); rule == "date-time" {
				if _, err := time.Parse(time.RFC3339, text); err != nil {
					add("%q is no time", text)
				}
			}
		case "minLength", "maxLength":
			text, _ := value.(string)
			if n := utf8.RuneCountInString(text); word == "minLength" && n < rule.(int) || word == "maxLength" && n > rule.(int) {
				add("has %d characters", n)
			}
		case "minimum", "maximum":
			if n := number(value); word == "minimum" && n < number(rule) || word == "maximum" && n > number(rule) {
				add("is %v", value)
			}
		case "required":
			members, _ := value.(map[string]any)
			for _, name := range rule.([]any) {
				if _, there := members[name.(string)]; !there {
					add("has no %s", name)
				}
			}
		default:
			add("the schema has the word %s, which this test does not know", word)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	members, _ := value.(map[string]any)
	for name, member := range members {
		if p, known := properties[name]; known {
			found = append(found, d.problems(p, member, at+"/"+name)...)
		} else if s["additionalProperties"] == false {
			add("has %s, which is not described", name)
		}
	}
	return found
}

func typeOf(value any) string {
	switch v := value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	}
	return fmt.Sprintf("%T", value)
}

func number(value any) float64 {
	switch v := value.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	}
	return 0
}
