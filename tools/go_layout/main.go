// SPDX-License-Identifier: Apache-2.0

// go_layout writes where the fields of the Go runtime's structures are in one release, as a C++ data file: offsets from
// the DWARF of a program that this release built, each with the line of its source. It is not a reader of live
// processes; a release that it was not run for is not guessed (userspace/goruntime says so at run time).
//
//	GOTOOLCHAIN=go1.26.8 go build -o /tmp/p ./probe && go_layout /tmp/p "$(GOTOOLCHAIN=go1.26.8 go env GOROOT)" > go1_26.inc
package main

import (
	"debug/buildinfo"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"os"
	"regexp"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go_layout PROGRAM GOROOT > goMINOR.inc")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "go_layout:", err)
		os.Exit(1)
	}
}

func generate(program, goroot string) error {
	file, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	data, err := file.DWARF()
	if err != nil {
		return err
	}
	source, err := parseRuntime(goroot)
	if err != nil {
		return err
	}
	structs, consts, err := read(data)
	if err != nil {
		return err
	}
	minor := regexp.MustCompile(`^go1\.(\d+)`).FindStringSubmatch(info.GoVersion)
	if minor == nil {
		return fmt.Errorf("version %q is not a release", info.GoVersion)
	}
	fmt.Printf("// SPDX-License-Identifier: Apache-2.0\n")
	fmt.Printf("// Made by tools/go_layout from %s linux/amd64. Lines are those of its src/runtime.\n", info.GoVersion)
	fmt.Printf("inline constexpr Layout kGo1_%s = {\n    .minor = %s,\n    .measured = \"%s\",\n", minor[1], minor[1], info.GoVersion)
	for _, t := range types {
		st, ok := structs[t.goType]
		if !ok {
			return fmt.Errorf("no DWARF for %s", t.goType)
		}
		fmt.Printf("    // %s\n    .%s =\n        {\n", source.where(t.goType, ""), t.name)
		for _, f := range t.fields {
			if f.path == "" {
				fmt.Printf("            .%s = %d,\n", f.name, st.ByteSize)
				continue
			}
			offset, bytes, found := find(st, f.path)
			if !found {
				fmt.Printf("            .%s = kAbsent,\n", f.name)
				continue
			}
			fmt.Printf("            .%s = {%d, %d},  // %s\n", f.name, offset, bytes, source.where(t.goType, f.path))
		}
		fmt.Printf("        },\n")
	}
	printConstants(consts, source)
	fmt.Printf("};\n")
	return nil
}

// printConstants writes the enums whose numbers change between releases, as names by number.
func printConstants(consts map[string]int64, source *runtimeSource) {
	reasons := map[int64]string{}
	var highest int64
	for name, value := range consts {
		if text, ok := source.waitReasons[name]; ok && value >= 0 && value < 256 {
			reasons[value] = text
			if value > highest {
				highest = value
			}
		}
	}
	fmt.Printf("    // %s\n    .wait_reasons =\n        {\n", source.waitReasonsAt)
	for i := int64(0); i <= highest; i++ {
		fmt.Printf("            \"%s\",\n", reasons[i])
	}
	fmt.Printf("        },\n")
	fmt.Printf("    .special_profile_kind = %d,  // %s\n", source.specialKinds["_KindSpecialProfile"], source.specialKindsAt)
}

// read collects the wanted structs and the runtime's constants.
func read(data *dwarf.Data) (map[string]*dwarf.StructType, map[string]int64, error) {
	wanted := map[string]bool{}
	for _, t := range types {
		wanted[t.goType] = true
	}
	structs, consts := map[string]*dwarf.StructType{}, map[string]int64{}
	reader := data.Reader()
	for {
		entry, err := reader.Next()
		if err != nil {
			return nil, nil, err
		}
		if entry == nil {
			return structs, consts, nil
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		switch entry.Tag {
		case dwarf.TagCompileUnit:
			continue
		case dwarf.TagStructType:
			if wanted[name] {
				t, err := data.Type(entry.Offset)
				if err != nil {
					return nil, nil, err
				}
				structs[name] = t.(*dwarf.StructType)
			}
		case dwarf.TagConstant:
			if value, ok := entry.Val(dwarf.AttrConstValue).(int64); ok && strings.HasPrefix(name, "runtime.") {
				consts[strings.TrimPrefix(name, "runtime.")] = value
			}
		}
		reader.SkipChildren()
	}
}

// find follows a path of field names and returns offset and size.
func find(st *dwarf.StructType, path string) (offset, bytes int64, ok bool) {
	name, rest, nested := strings.Cut(path, ".")
	for _, f := range st.Field {
		if f.Name != name {
			continue
		}
		t := plain(f.Type)
		if !nested {
			// A slice, an atomic or a box of one word is read as its first word.
			return f.ByteOffset, t.Size(), true
		}
		inner, isStruct := t.(*dwarf.StructType)
		if !isStruct {
			return 0, 0, false
		}
		offset, bytes, ok = find(inner, rest)
		return f.ByteOffset + offset, bytes, ok
	}
	return 0, 0, false
}

func plain(t dwarf.Type) dwarf.Type {
	for {
		td, ok := t.(*dwarf.TypedefType)
		if !ok {
			return t
		}
		t = td.Type
	}
}
