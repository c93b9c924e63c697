// Renders the chart as "helm template" would, where there is no Helm (Debian has none).
//
//	render [--release NAME] [--namespace NAME] [--values FILE]... [--set PATH=VALUE]... [--notes] CHART
//
// A subset of Helm 3. The same: Go's text/template with missing keys as zero values, sprig's functions without env and
// expandenv, include, tpl, required, toYaml, fromYaml, toJson, lookup (finds nothing, as in "helm template"); .Values
// (chart's, then files', then --set's, maps merged, null removes), .Release, .Chart, .Files.Get, .Template;
// documents sorted by kind as Helm installs them; a "# Source:" line before each.
// Not there: dependencies, subcharts, hooks, CRDs, .Capabilities, .Files.Glob, the schema (tests/helm/chart_test.py checks it),
// --set's lists in braces and escapes. Numbers are float64, as Helm's were for long: charts write "int" where it matters.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type values = map[string]interface{}

// Helm's order of installation, of the kinds in use; others come last.
var kindOrder = []string{"Namespace", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap",
	"StorageClass", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "DaemonSet", "Deployment",
	"StatefulSet", "CSIDriver"}

type options struct {
	release, namespace, chart string
	valueFiles, sets          []string
	notes                     bool
}

func main() {
	opts, err := parseArguments(os.Args[1:])
	if err == nil {
		var text string
		if text, err = run(opts); err == nil {
			fmt.Print(text)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "render:", err)
	os.Exit(1)
}

func parseArguments(words []string) (options, error) {
	opts := options{release: "holdfast", namespace: "holdfast"}
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--notes" {
			opts.notes = true
			continue
		}
		if !strings.HasPrefix(word, "--") {
			opts.chart = word
			continue
		}
		if i++; i == len(words) {
			return opts, fmt.Errorf("%s needs a value", word)
		}
		switch word {
		case "--release":
			opts.release = words[i]
		case "--namespace":
			opts.namespace = words[i]
		case "--values":
			opts.valueFiles = append(opts.valueFiles, words[i])
		case "--set":
			opts.sets = append(opts.sets, words[i])
		default:
			return opts, fmt.Errorf("unknown option %s", word)
		}
	}
	if opts.chart == "" {
		return opts, errors.New("which chart?")
	}
	return opts, nil
}

func run(opts options) (string, error) {
	root, err := rootOf(opts)
	if err != nil {
		return "", err
	}
	texts, err := renderAll(opts.chart, root)
	if err != nil {
		return "", err
	}
	if opts.notes {
		return texts["templates/NOTES.txt"], nil
	}
	return sorted(root["Chart"].(values)["Name"].(string), texts)
}

// What templates see as "."
func rootOf(opts options) (values, error) {
	chart, err := readYaml(filepath.Join(opts.chart, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	named := values{}
	for key, value := range chart { // Helm's struct has Go's names
		named[strings.ToUpper(key[:1])+key[1:]] = value
	}
	merged, err := readYaml(filepath.Join(opts.chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range opts.valueFiles {
		more, err := readYaml(file)
		if err != nil {
			return nil, err
		}
		merge(merged, more)
	}
	for _, set := range opts.sets {
		if err := assign(merged, set); err != nil {
			return nil, err
		}
	}
	return values{
		"Values":  merged,
		"Chart":   named,
		"Release": values{"Name": opts.release, "Namespace": opts.namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1},
		"Files":   files{opts.chart},
	}, nil
}

type files struct{ chart string }

// Get is empty for a file that is not there, as Helm's.
func (f files) Get(name string) string {
	content, _ := os.ReadFile(filepath.Join(f.chart, filepath.Clean("/"+name)))
	return string(content)
}

func readYaml(path string) (values, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := values{}
	if err := yaml.Unmarshal(content, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func merge(into, from values) {
	for key, value := range from {
		if value == nil {
			delete(into, key)
			continue
		}
		old, isMap := into[key].(values)
		if more, ok := value.(values); ok && isMap {
			merge(old, more)
			continue
		}
		into[key] = value
	}
}

var step = regexp.MustCompile(`^([^.\[\]=]*)((?:\[\d+\])*)$`)

// "a.b[0].c=value": true, false, null and integers are what they look like.
func assign(into values, set string) error {
	path, text, found := strings.Cut(set, "=")
	if !found {
		return fmt.Errorf("--set %s: no value", set)
	}
	var keys []interface{}
	for _, word := range strings.Split(path, ".") {
		parts := step.FindStringSubmatch(word)
		if parts == nil {
			return fmt.Errorf("--set %s: cannot read %q", set, word)
		}
		keys = append(keys, parts[1])
		for _, index := range strings.FieldsFunc(parts[2], func(r rune) bool { return r == '[' || r == ']' }) {
			number, _ := strconv.Atoi(index)
			keys = append(keys, number)
		}
	}
	merged, err := put(into, keys, typed(text))
	_ = merged // a map is changed in place
	return err
}

func typed(text string) interface{} {
	switch text {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if number, err := strconv.ParseInt(text, 10, 64); err == nil && (text == "0" || text[0] != '0') {
		return float64(number)
	}
	return text
}

func put(into interface{}, keys []interface{}, value interface{}) (interface{}, error) {
	if len(keys) == 0 {
		return value, nil
	}
	switch key := keys[0].(type) {
	case string:
		here, ok := into.(values)
		if !ok {
			here = values{}
		}
		inner, err := put(here[key], keys[1:], value)
		if inner == nil {
			delete(here, key)
		} else {
			here[key] = inner
		}
		return here, err
	case int:
		here, _ := into.([]interface{})
		if key > len(here) {
			return nil, fmt.Errorf("--set: no element %d before [%d]", len(here), key)
		}
		if key == len(here) {
			here = append(here, nil)
		}
		inner, err := put(here[key], keys[1:], value)
		here[key] = inner
		return here, err
	}
	return nil, errors.New("--set: impossible key")
}

func renderAll(chart string, root values) (map[string]string, error) {
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(functions(all))
	var names []string
	err := filepath.Walk(filepath.Join(chart, "templates"), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(chart, path)
		names = append(names, name)
		_, err = all.New(name).Parse(string(content))
		return err
	})
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		root["Template"] = values{"Name": name, "BasePath": "templates"}
		var out bytes.Buffer
		if err := all.ExecuteTemplate(&out, name, root); err != nil {
			return nil, err
		}
		texts[name] = strings.ReplaceAll(out.String(), "<no value>", "")
	}
	return texts, nil
}

func functions(all *template.Template) template.FuncMap {
	out := sprig.TxtFuncMap()
	delete(out, "env")
	delete(out, "expandenv")
	execute := func(t *template.Template, name string, data interface{}) (string, error) {
		var text bytes.Buffer
		err := t.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	out["include"] = func(name string, data interface{}) (string, error) { return execute(all, name, data) }
	out["tpl"] = func(text string, data interface{}) (string, error) {
		clone, err := all.Clone()
		if err != nil {
			return "", err
		}
		if _, err := clone.New("tpl").Parse(text); err != nil {
			return "", err
		}
		return execute(clone, "tpl", data)
	}
	out["required"] = func(why string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(why)
		}
		return value, nil
	}
	out["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	out["fromYaml"] = func(text string) values {
		value := values{}
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			value["Error"] = err.Error()
		}
		return value
	}
	out["toJson"] = func(value interface{}) string {
		text, _ := json.Marshal(value)
		return string(text)
	}
	out["lookup"] = func(string, string, string, string) values { return values{} }
	return out
}

var separator = regexp.MustCompile(`(?m)^---[ \t]*$`)

func sorted(chart string, texts map[string]string) (string, error) {
	type document struct {
		kind         int
		source, text string
	}
	var documents []document
	var names []string
	for name := range texts {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".txt") {
			continue
		}
		for _, text := range separator.Split(texts[name], -1) {
			var head struct {
				Kind string `json:"kind"`
			}
			if err := yaml.Unmarshal([]byte(text), &head); err != nil {
				return "", fmt.Errorf("%s is no YAML: %w\n%s", name, err, text)
			}
			if head.Kind == "" { // only comments
				continue
			}
			kind := len(kindOrder)
			for i, known := range kindOrder {
				if known == head.Kind {
					kind = i
				}
			}
			documents = append(documents, document{kind, name, strings.Trim(text, "\n")})
		}
	}
	sort.SliceStable(documents, func(i, j int) bool { return documents[i].kind < documents[j].kind })
	var out strings.Builder
	for _, one := range documents {
		fmt.Fprintf(&out, "---\n# Source: %s/%s\n%s\n", chart, one.source, one.text)
	}
	return out.String(), nil
}
