/* SPDX-License-Identifier: MIT
 *
 * The template language. What stands under `as_go` was printed by Go's own text/template (1.19) for
 * the same template, and by functions of the same meaning where they are consul-template's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/template/eval.h"
#include "shared/cleanup.h"

struct expect {
    const char *text;
    const char *result;
};

static const struct expect as_go[] = {
    {"{{parseJSON `{\"a\":[1,\"yes\",null,{\"b\":2}],\"c\":{\"d\":\"x\\ny\"}}` | toYAML}}",
     "a:\n- 1\n- \"yes\"\n- null\n- b: 2\nc:\n  d: |-\n    x\n    y"},
    {"{{with parseYAML \"a: &x {k: yes}\\nb: [*x, 0x1F, 'q']\"}}{{.a.k}} {{.b}}{{end}}{{len "
     "(parseYAML "
     "\"\")}}",
     "true [map[k:true] 31 q]0"},
    {"{{parseJSON `{\"a\":[1,\"y\\\"\",{\"b\":2}],\"c "
     "d\":{\"d\":\"x\\ny\",\"e\":{},\"n\":null},\"t\":[{\"x\":1e21},{"
     "\"y\":[true]}]}` | toTOML}}",
     "a = [1.0, \"y\\\"\", {b = 2.0}]\n\n[\"c d\"]\n  d = \"x\\ny\"\n  [\"c d\".e]\n\n[[t]]\n  x = "
     "1000000000000000000000.0\n\n[[t]]\n  y = [true]"},
    {"{{printf \"%s|%5v|%x|%X\" (parseJSON \"[null,1]\") (parseJSON \"[null]\") 1.5 0.1}}",
     "[<nil> %!s(float64=1)]|[<nil>]|0x1.8p+00|0X1.999999999999AP-04"},
    {"plain text", "plain text"},
    {"{{\"quoted\\t\\\"x\\\" \\u00e9 \\x41\\101\"}} {{`raw \\n`}} {{'a'}} {{'\\n'}}",
     "quoted\t\"x\" \303\251 AA raw \\n 97 10"},
    {"{{1}} {{-7}} {{0x1F}} {{0b101}} {{0o17}} {{017}} {{1_000}} {{1.5}} {{1e3}} {{.5}} {{0x1p4}}",
     "1 -7 31 5 15 15 1000 1.5 1000 0.5 16"},
    {"{{true}} {{false}} {{print nil}}", "true false <nil>"},
    {"{{.}} {{.a}} {{.a.b}} {{$}} {{$.x}}",
     "<no value> <no value> <no value> <no value> <no value>"},
    {"a {{- 1 -}} b   {{- \" c\" }}  d", "a1b c  d"},
    {"x {{/* gone */}} y {{- /* gone\ntoo */ -}} z", "x  yz"},
    {"{{ -3 }}{{- -3 -}} 4", "-3-34"},
    {"{{if true}}T{{else}}F{{end}}{{if 0}}T{{else}}F{{end}}{{if \"\"}}T{{else if "
     "\"x\"}}E{{else}}F{{end}}",
     "TFE"},
    {"{{if (parseJSON \"[]\")}}T{{else}}F{{end}}{{if (parseJSON \"[0]\")}}T{{end}}{{if "
     "0.0}}T{{else}}F{{end}}",
     "FTF"},
    {"{{with \"x\"}}{{.}}{{else}}none{{end}} {{with \"\"}}{{.}}{{else}}none{{end}} {{with $v := "
     "3}}{{$v}}{{.}}{{end}}",
     "x none 33"},
    {"{{range (split \",\" \"a,b,c\")}}<{{.}}>{{end}}", "<a><b><c>"},
    {"{{range $e := (split \",\" \"a,b\")}}{{$e}};{{end}}{{range $i, $e := (split \",\" "
     "\"a,b\")}}{{$i}}={{$e}};{{end}}",
     "a;b;0=a;1=b;"},
    {"{{range $k, $v := (parseJSON `{\"b\":2,\"a\":1,\"c\":[1]}`)}}{{$k}}={{$v}} {{end}}",
     "a=1 b=2 c=[1] "},
    {"{{range (split \",\" \"\")}}x{{else}}empty{{end}}", "empty"},
    {"{{range $i, $e := (split \",\" \"a,b,c,d\")}}{{if eq $e \"b\"}}{{continue}}{{end}}{{if eq $e "
     "\"d\"}}{{break}}{{end}}{{$e}}{{end}}",
     "ac"},
    {"{{range (split \",\" \"a,b\")}}{{range (split \",\" \"1,2,3\")}}{{if eq . "
     "\"2\"}}{{break}}{{end}}{{.}}{{end}}{{.}}{{end}}",
     "1a1b"},
    {"{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}", "32"},
    {"{{$x := 1}}{{range (split \",\" \"a,b\")}}{{$x := 9}}{{$x}}{{end}}{{$x}}", "991"},
    {"{{$n := 0}}{{range (split \",\" \"a,b,c\")}}{{$n = add $n 1}}{{end}}{{$n}}", "3"},
    {"{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" 5}}{{template \"T\"}}{{template \"T\" (split "
     "\",\" \"x,y\")}}",
     "[5][<no value>][[x y]]"},
    {"{{block \"B\" \"in\"}}({{.}}){{end}}{{template \"B\" \"again\"}}", "(in)(again)"},
    {"{{define \"R\"}}{{if .}}{{index . 0}}{{template \"R\" (slice . 1)}}{{end}}{{end}}{{template "
     "\"R\" (split \",\" \"a,b,c\")}}",
     "abc"},
    {"{{\"abc\" | printf \"%s-%s\" \"x\"}} {{\"a\" | print | printf \"%q\" | len}}", "x-abc 3"},
    {"{{printf \"%d|%5d|%-5d|%05d|%+d|%x|%X|%#x|%o|%b|%c|%q|%U\" 42 42 42 42 42 255 255 255 8 5 65 "
     "65 65}}",
     "42|   42|42   |00042|+42|ff|FF|0xff|10|101|A|'A'|U+0041"},
    {"{{printf \"%v %s %q %x %X % x %10s|%-10s|%.2s\" \"h\" \"\303\251\" \"a\\\"b\\n\" \"hi\" "
     "\"hi\" \"hi\" \"r\" \"l\" \"cut\"}}",
     "h \303\251 \"a\\\"b\\n\" 6869 6869 68 69          r|l         |cu"},
    {"{{printf \"%f %.2f %8.3f|%-8.1f|%e %g %G %08.2f\" 1.5 2.345 3.14159 2.5 123456.789 1e21 1e-7 "
     "3.14159}}",
     "1.500000 2.35    3.142|2.5     |1.234568e+05 1e+21 1E-07 00003.14"},
    {"{{printf \"%t %v %v %v\" true false nil (split \",\" \"a,b\")}}", "true false <nil> [a b]"},
    {"{{printf \"%d %s\" \"x\" 1}} {{printf \"%d\"}} {{printf \"%d\" 1 2}} {{printf \"%!\"}} "
     "{{printf \"100%%\"}} {{printf \"%z\" 1}}",
     "%!d(string=x) %!s(int=1) %!d(MISSING) 1%!(EXTRA int=2) %!!(MISSING) 100% %!z(int=1)"},
    {"{{printf \"%*d|%-*d|%.*f\" 5 42 5 42 2 1.23456}}", "   42|42   |1.23"},
    {"{{printf \"%v %v\" (parseJSON `{\"b\":[1,2.5,\"x\",null,true],\"a\":{\"z\":1}}`) (parseJSON "
     "\"null\")}}",
     "map[a:map[z:1] b:[1 2.5 x <nil> true]] <nil>"},
    {"{{printf \"%T %T %T %T %T\" \"s\" 1 1.5 true nil}}", "string int float64 bool <nil>"},
    {"{{print 1 2 \"a\" \"b\" 3 true nil}}|{{println 1 \"a\" nil}}|{{print}}",
     "1 2ab3 true <nil>|1 a <nil>\n|"},
    {"{{parseJSON `1000000`}} {{parseJSON `123456789`}} {{parseJSON `0.000001`}} {{parseJSON "
     "`1e21`}} {{parseJSON `12.50`}} {{parseJSON `100000`}}",
     "1e+06 1.23456789e+08 1e-06 1e+21 12.5 100000"},
    {"{{eq 1 1}} {{eq 1 2 3 1}} {{eq \"a\" \"a\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} "
     "{{ge 2.5 2.5}} {{lt \"a\" \"b\"}} {{eq nil nil}}",
     "true true true true true true false true true true"},
    {"{{and 1 0 2}} {{and 1 2}} {{or 0 \"\" \"x\"}} {{or 0 \"\"}} {{not 0}} {{not \"x\"}} {{and "
     "true false}}",
     "0 2 x  true false false"},
    {"{{if and true (eq 1 1) (not false)}}yes{{end}}{{or (and 0 1) 7}}", "yes7"},
    {"{{index (split \",\" \"a,b,c\") 1}} {{index (parseJSON `{\"a\":{\"b\":[5,6]}}`) \"a\" \"b\" "
     "1}} {{index \"abc\" 1}} {{index (parseJSON \"{}\") \"x\"}}",
     "b 6 98 <no value>"},
    {"{{len \"h\303\251y\"}} {{len (split \",\" \"a,b\")}} {{len (parseJSON `{\"a\":1}`)}}",
     "4 2 1"},
    {"{{slice \"abcdef\" 2}} {{slice \"abcdef\" 1 3}} {{slice (split \",\" \"a,b,c,d\") 1 3}} "
     "{{slice \"abc\"}}",
     "cdef bc [b c] abc"},
    {"{{html \"<a href='x'>&\\\"</a>\"}} {{js \"it's <\\\"b\\\">&=\\n\"}} {{urlquery \"a "
     "b&c=\303\274/~\"}}",
     "&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; it\\'s "
     "\\u003C\\\"b\\\"\\u003E\\u0026\\u003D\\u000A a+b%26c%3D%C3%BC%2F~"},
    {"{{(parseJSON `{\"a\":{\"b\":7}}`).a.b}} {{with parseJSON "
     "`{\"a\":1}`}}{{.a}}{{$.a}}{{.b}}{{end}}",
     "7 1<no value><no value>"},
    {"{{toJSON (parseJSON `{\"b\":[1,2.5,\"<x>&\",null,true],\"a\":{}}`)}} {{toJSON "
     "\"tab\\t\303\251\\u2028\"}} {{toJSON 1e-7}} {{toJSON 1e21}}",
     "{\"a\":{},\"b\":[1,2.5,\"\\u003cx\\u003e\\u0026\",null,true]} \"tab\\t\303\251\\u2028\" 1e-7 "
     "1e+21"},
    {"{{toJSONPretty (parseJSON `{\"b\":[1,{\"c\":2}],\"a\":[],\"d\":{}}`)}}",
     "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {\n      \"c\": 2\n    }\n  ],\n  \"d\": {}\n}"},
    {"{{\"a.b.c\" | replaceAll \".\" \"/\"}} {{replaceAll \"\" \"-\" \"abc\"}} {{replaceAll \"b\" "
     "\"\" \"abcb\"}}",
     "a/b/c -a-b-c- ac"},
    {"{{\"foo.bar\" | regexReplaceAll \"foo([.a-z]+)\" \"<$1>\"}} {{regexReplaceAll \"a*\" \"x\" "
     "\"baac\"}} {{regexReplaceAll \"(\?P<n>b)\" \"[${n}]\" \"abc\"}} {{regexReplaceAll \"b\" "
     "\"$$-$9\" \"abc\"}}",
     "<.bar> xbxcx a[b]c a$-c"},
    {"{{if \"foo.bar\" | regexMatch \"foo([.a-z]+)\"}}match{{end}}{{regexMatch \"^b$\" "
     "\"abc\"}}{{regexMatch \"b$\" \"b\\n\"}}",
     "matchfalsefalse"},
    {"{{split \",\" \"a,b\" | join \"-\"}} {{split \"\\n\" \" x\\ny \\n\"}} {{split \"\" \"abc\"}} "
     "{{len (split \",\" \"  \")}}",
     "a-b [x y] [a b c] 0"},
    {"{{toUpper \"stra\303\237e \303\251\"}} {{toLower \"\303\204\303\226 X\"}} {{toTitle \"hello "
     "w\303\266rld-foo it's a_b\"}}",
     "STRA\303\237E \303\211 \303\244\303\266 x Hello W\303\266rld-Foo It'S A_b"},
    {"{{\"  x \\n\" | trimSpace}}| {{trim \"!\" \"!!x!!\"}} {{trimPrefix \"ab\" \"abc\"}} "
     "{{trimSuffix \"bc\" \"abc\"}} {{trimPrefix \"z\" \"abc\"}}",
     "x| x c a abc"},
    {"{{base64Encode \"h\303\251llo\?>\"}} {{base64Decode \"aGk=\"}} {{base64Decode \"aG\\nk=\"}}",
     "aMOpbGxvPz4= hi hi"},
    {"{{timestamp}} {{timestamp \"2006-01-02\"}} {{timestamp \"Mon Jan _2 15:04:05.000 MST "
     "2006\"}} {{timestamp \"Monday, January 2 3:4:5pm 06 -0700 Z07:00 .999999 002\"}}",
     "2006-01-02T22:04:05Z 2006-01-02 Mon Jan  2 22:04:05.123 UTC 2006 Monday, January 2 10:4:5pm "
     "06 +0000 Z .123456 002"},
    {"{{parseInt \"42\"}} {{parseInt \"-7\"}} {{parseInt \"\"}} {{parseFloat \"1.50\"}} "
     "{{parseBool \"true\"}} {{parseBool \"\"}} {{parseBool \"F\"}}",
     "42 -7 0 1.5 true false false"},
    {"{{add 1 2}} {{5 | add 2}} {{9 | divide 2}} {{9 | modulo 4}} {{-9 | divide 2}}", "3 7 4 1 -4"},
    {"{{splitToMap \";\" \"=\" \"a=1;b=2;c\"}}{{(splitToMap \";\" \"=\" \"a=1\").a}}",
     "map[a:1 b:2]1"},
    {"{{range $k, $v := splitToMap \",\" \":\" \"z:1,y:2\"}}{{$k}}{{$v}}{{end}}", "y2z1"},
    {"{{- range $i, $e := (parseJSON `[{\"n\":\"a\"},{\"n\":\"b\"}]`) }}\n{{ $i }}: {{ $e.n }} {{ "
     ".n -}}\n{{ end }}",
     "\n0: a a\n1: b b"},
    {"{{\"}}\"}} {{`}}`}} {{/* }} */}}x", "}} }} x"},
    {"{{ \"multi\" |\n   printf \"%s-%d\"\n }}", "multi-%!d(MISSING)"},
    {"{{print (len (print (printf \"%s\" \"abc\")))}}", "3"},
    {"{{$a := \"x\"}}{{$b := print $a $a}}{{$b}}{{$a | printf \"%s%s\" $b}}", "xxxxx"},
    {"{{with $x := parseJSON `{\"k\":\"v\"}`}}{{range $k, $v := "
     "$x}}{{$k}}{{$v}}{{$x.k}}{{end}}{{end}}",
     "kvv"},
};

static const struct expect ours[] = {
    {"{{env \"HOME\"}} {{env \"none\"}}| {{envOrDefault \"none\" \"d\"}} {{envOrDefault \"EMPTY\" "
     "\"d\"}}| {{mustEnv \"HOME\"}}",
     "/h | d | /h"},
    {"{{range loop 3}}{{.}}{{end}} {{range $i := loop 5 8}}{{$i}}{{end}} {{range loop "
     "\"2\"}}x{{end}}",
     "012 567 xx"},
    {"{{range 3}}{{.}}{{end}}", "012"},
    {"{{in (split \",\" \"a,b\") \"b\"}} {{\"c\" | in \"abc\"}} {{split \",\" \"a,b\" | contains "
     "\"a\"}} {{in (parseJSON \"[1]\") 1.0}} {{in (parseJSON \"[1]\") \"1\"}}",
     "true true true true false"},
    {"{{$n := split \",\" \"a,b\"}}{{$h := split \",\" \"a,b,c\"}}{{containsAll $n $h}} "
     "{{containsAny $n $h}} {{containsNone $n $h}} {{containsNotAll $n $h}} {{containsAll (split "
     "\",\" \"\") $h}}",
     "true true false false true"},
    {"{{\"a\\nb\\n\\nc\" | indent 2}}", "  a\n  b\n\n  c"},
    {"{{sha256Hex \"bladibla\"}} {{md5sum \"myString\"}} {{sha1sum \"\"}}",
     "54cf4c66bcabb5c20e25331c01dd600b73369e97a947861bd8d3a0e0b8b3d70b "
     "91c65b6feeb5a6ad66b30e2ebd9405e1 da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {"{{hmacSHA256Hex \"somemessage\" \"somekey\"}}",
     "6116e95f2827172aa6ef8b22b883f6a77e966aefc129c6b8228ebd0aac74e98d"},
    {"{{base64URLEncode \"\\xff\\xfe\?\"}} {{base64URLDecode \"_-4_\" | printf \"%x\"}}",
     "__4_ ffee3f"},
    {"{{subtract 2 5}} {{multiply 3 4}} {{5 | minimum 3}} {{5 | maximum 3}} {{add 1.5 2}} {{divide "
     "2.0 5}}",
     "3 12 3 5 3.5 2.5"},
    {"{{scratch.Set \"a\" 1}}{{scratch.Get \"a\"}}{{scratch.Key \"b\"}}{{scratch.MapSet \"m\" "
     "\"x\" \"1\"}}{{scratch.MapSet \"m\" \"w\" \"2\"}}{{scratch.MapSetX \"m\" \"x\" "
     "\"9\"}}{{scratch.MapValues \"m\"}}{{scratch.Get \"m\"}}{{scratch.SetX \"a\" 5}}{{scratch.Get "
     "\"a\"}}",
     "1false[2 1]map[w:2 x:1]1"},
    {"{{toUnescapedJSON (parseJSON `\"<&>\"`)}} {{toJSON \"<\"}}", "\"<&>\" \"\\u003c\""},
    {"{{mergeMap (parseJSON `{\"a\":1,\"b\":{\"c\":2}}`) (parseJSON "
     "`{\"a\":9,\"b\":{\"d\":3},\"e\":4}`) | toJSON}}",
     "{\"a\":1,\"b\":{\"c\":2,\"d\":3},\"e\":4}"},
    {"{{mergeMapWithOverride (parseJSON `{\"a\":1,\"b\":{\"c\":2}}`) (parseJSON "
     "`{\"a\":9,\"b\":{\"d\":3},\"e\":4}`) | toJSON}}",
     "{\"a\":9,\"b\":{\"c\":2,\"d\":3},\"e\":4}"},
    {"{{explodeMap (parseJSON `{\"a/b\":\"1\",\"a/c/d\":\"2\",\"e\":\"3\"}`) | toJSON}}",
     "{\"a\":{\"b\":\"1\",\"c\":{\"d\":\"2\"}},\"e\":\"3\"}"},
    {"{{with \"\" }}{{else with \"b\"}}{{.}}{{end}}", "b"},
    {"{{timestamp \"unix\"}}", "1136239445"},
};

/* Templates that are refused before they run, and what the message begins with. */
static const struct expect refused[] = {
    {"{{", "t:1:3: an action is not closed; add }}"},
    {"a\n{{ \"x }}", "t:2:4: this string is not closed"},
    {"{{`x}}", "t:1:3: this string is not closed"},
    {"{{/* x }}", "t:1:1: this comment has no end"},
    {"{{/* x */ 1}}", "t:1:10: a comment ends before the right delimiter"},
    {"{{}}", "t:1:3: the right delimiter cannot stand here"},
    {"{{if}}{{end}}", "t:1:5: the right delimiter cannot stand here"},
    {"x\n  {{if 1}}", "t:2:3: this {{if}} has no {{end}}"},
    {"{{range 1}}{{else}}{{else}}{{end}}", "t:1:20: this {{else}} follows another one"},
    {"{{end}}", "t:1:1: this {{end}} belongs to nothing"},
    {"{{else}}", "t:1:1: this {{else}} belongs to nothing"},
    {"{{break}}", "t:1:1: {{break}} stands outside of any {{range}}"},
    {"{{range 1}}{{define \"x\"}}{{end}}{{end}}", "t:1:12: {{define}} stands inside"},
    {"{{define \"x\"}}{{end}}{{define \"x\"}}{{end}}", "t:1:22: there is a template \"x\" already"},
    {"{{template \"x\"}}", "t:1:1: there is no template \"x\""},
    {"{{template x}}", "t:1:12: \"x\" cannot stand here"},
    {"{{$x}}", "t:1:3: there is no variable $x here"},
    {"{{$x = 1}}", "t:1:3: there is no variable $x here"},
    {"{{if 1}}{{$x := 1}}{{end}}{{$x}}", "t:1:29: there is no variable $x here"},
    {"{{define \"d\"}}{{$x}}{{end}}{{$x := 1}}", "t:1:17: there is no variable $x here"},
    {"{{$x, $y := 1}}", "t:1:5: \",\" cannot stand here: only {{range}}"},
    {"{{nope 1}}", "t:1:3: there is no function \"nope\""},
    {"{{toupper \"x\"}}", "t:1:3: there is no function \"toupper\"; did you mean \"toUpper\"?"},
    {"\n {{plugin \"x\"}}", "t:2:4: the function \"plugin\" is not supported: "},
    {"{{range service \"web\"}}{{end}}", "t:1:9: the function \"service\" is not supported: "},
    {"{{1 | sockaddr}}", "t:1:7: the function \"sockaddr\" is not supported: "},
    {"{{sprig_date \"x\"}}", "t:1:3: the function \"sprig_date\" is not supported: "},
    {"{{key \"x\"}}", "t:1:3: the function \"key\" is denied by the operator"},
    {"{{env}}", "t:1:3: \"env\" takes 1 argument, and gets 0"},
    {"{{\"x\" | split}}", "t:1:9: \"split\" takes 2 arguments, and gets 1"},
    {"{{timestamp 1 2}}", "t:1:3: \"timestamp\" takes at most 1 argument, and gets 2"},
    {"{{print len}}", "t:1:9: \"len\" takes at least 1 argument"},
    {"{{scratch}}", "t:1:3: \"scratch\" is used by its methods"},
    {"{{scratch.Foo 1}}", "t:1:3: there is no function \"scratch.Foo\""},
    {"{{1 2}}", "t:1:3: what stands here is no function"},
    {"{{1 | 2}}", "t:1:7: what stands here is no function"},
    {"{{nil}}", "t:1:3: nil alone is no command"},
    {"{{(1}}", "t:1:5: a \"(\" is not closed"},
    {"{{1)}}", "t:1:4: this \")\" closes nothing"},
    {"{{\"x\".y}}", "t:1:6: a constant has no field"},
    {"{{print 1\"x\"}}", "t:1:10: a string cannot stand here without white space"},
    {"{{\"\\q\"}}", "t:1:3: this string has an escape that Go does not know"},
    {"{{99999999999999999999}}", "t:1:3: 99999999999999999999 does not fit into 64 bits"},
    {"{{0x}}", "t:1:3: 0x is neither a number nor a name"},
    {"{{1__0}}", "t:1:3: 1__0 is neither a number nor a name"},
    {"{{print %}}", "t:1:9: there is no \"%\" in templates' actions"},
};

/* Templates that fail while they run. */
static const struct expect failing[] = {
    {"{{(print 1).a}}", "t:1:3: a value of the type string has no field \".a\""},
    {"{{$x := parseJSON \"null\"}}{{$x.a}}", "t:1:29: \".a\" of nothing (nil)"},
    {"{{index (split \",\" \"a\") 3}}", "t:1:3: index: the index 3 is out of range"},
    {"{{index 1 2}}", "t:1:3: index: a value of the type int has no elements"},
    {"{{slice \"abc\" 2 1}}", "t:1:3: slice: the slice 2:1 is out of range"},
    {"{{len 3}}", "t:1:3: len: a value of the type int has no length"},
    {"{{eq 1 1.0}}", "t:1:3: eq: int and float64 cannot be compared"},
    {"{{lt true false}}", "t:1:3: lt: values of the type bool have no order"},
    {"{{range \"abc\"}}{{end}}", "t:1:1: range cannot go over a value of the type string"},
    {"{{toUpper 1}}", "t:1:3: toUpper: argument 1 is to be of the type string, and is int"},
    {"{{divide 0 1}}", "t:1:3: divide: division by zero"},
    {"{{mustEnv \"none\"}}", "t:1:3: mustEnv: the variable none is not set, or empty"},
    {"{{parseJSON \"{\"}}", "t:1:3: parseJSON: this is no JSON, in its line 1"},
    {"{{parseInt \"x\"}}", "t:1:3: parseInt: \"x\" is no whole number"},
    {"{{base64Decode \"a\"}}", "t:1:3: base64Decode: this is no base64"},
    {"{{regexMatch \"(\" \"x\"}}",
     "t:1:3: regexMatch: the regular expression is wrong near byte 2"},
    {"{{regexMatch `(?=a)` \"x\"}}",
     "t:1:3: regexMatch: the regular expression is wrong at byte 1"},
    {"{{parseYAML \"a: [\"}}", "t:1:3: parseYAML: this is no YAML: line 2 column 1"},
    {"{{parseJSON \"[1]\" | toTOML}}", "t:1:21: toTOML: argument 1 is to be of the type map"},
    {"{{parseJSON `{\"a\":[null]}` | toTOML}}", "t:1:30: toTOML: TOML has no lists with nothing"},
    {"{{regexMatch \"(a+)+$\" (printf \"%050d!\" 0 | replaceAll \"0\" \"a\")}}",
     "t:1:3: regexMatch: the regular expression takes too long"},
    {"{{join \",\" (parseJSON \"[1]\")}}", "t:1:3: join: the list has a value of the type float64"},
};

/* Templates that would run or grow without end. */
static const char *const endless[] = {
    "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}",
    "{{range loop 10000000}}{{end}}",
    "{{range 100000000}}{{end}}",
    "{{$x := \"0123456789\"}}{{range loop 64}}{{$x = print $x $x}}{{end}}{{$x}}",
    "{{range loop 100000}}{{range loop 100000}}x{{end}}{{end}}",
    "{{printf \"%1000000d\" 1 | print | printf \"%[2]s\"}}{{range loop 50}}{{printf \"%1000000d\" "
    "1}}{{end}}",
    "{{scratch.MapSet \"a\" \"x\" \"y\"}}{{range loop 64}}{{scratch.MapSet \"a\" \"l\" "
    "(scratch.Get \"a\")}}"
    "{{scratch.MapSet \"a\" \"r\" (scratch.Get \"a\")}}{{end}}",
    "{{$s := indent 1000 (printf \"%10000d\" 1 | replaceAll \" \" \"x\\n\")}}{{range loop 10000}}"
    "{{if contains \"zz\" $s}}{{end}}{{end}}",
};

static int find(void *arg, enum eval_source source, const char *name, json_t **ret, struct err *e)
{
    (void)arg;
    if (strcmp(name, "broken") == 0)
        return err_set(e, -EIO, "the server is gone");
    if (strcmp(name, "there") != 0)
        return EVAL_MISSING;
    switch (source) {
    case EVAL_KEYS:
        *ret = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "Key", "a", "Value", "1", "Key", "d/b",
                         "Value", "2", "Key", "d/", "Value", "");
        return 0;
    case EVAL_SECRET:
        *ret = json_pack("{s:{s:{s:s}}}", "Data", "data", "pw", "geheim");
        return 0;
    case EVAL_SECRETS:
        *ret = json_pack("[s,s]", "x", "y/");
        return 0;
    case EVAL_VAR:
        *ret = json_pack("{s:s}", "k", "v");
        return 0;
    case EVAL_VARS:
        *ret = json_pack("[{s:s}]", "Path", "a/b");
        return 0;
    default:
        *ret = json_string("found");
        return 0;
    }
}

static int run(const char *text, bool strict, struct eval_output *ret, struct err *e)
{
    static const char *const denied[] = {"key", NULL};
    static const char *const none[] = {NULL};
    struct tmpl_options options = {.denied = strstr(text, "there") || strict ? none : denied};
    json_t *env = json_pack("{s:s,s:s}", "HOME", "/h", "EMPTY", "");
    struct eval_input input = {
        .env = env, .fetch = find, .now_ns = 1136239445123456789, .error_on_missing_key = strict};
    struct tmpl *tmpl = NULL;
    int r = tmpl_parse("t", text, strlen(text), &options, &tmpl, e);

    if (!r)
        r = eval_run(tmpl, &input, ret, e);
    assert_null(tmpl_free(tmpl));
    json_decref(env);
    return r;
}

static void check(const struct expect *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct eval_output output;
        struct err e = ERR_INIT;

        if (run(cases[i].text, false, &output, &e))
            fail_msg("%s\n%s", cases[i].text, e.text);
        if (strcmp(output.text, cases[i].result) != 0)
            fail_msg("%s\nis %s\nand was to be %s", cases[i].text, output.text, cases[i].result);
        assert_int_equal(json_array_size(output.missing), 0);
        eval_output_deinit(&output);
    }
}

static void test_language(void **state)
{
    (void)state;
    check(as_go, ARRAY_LEN(as_go));
    check(ours, ARRAY_LEN(ours));
}

static void check_errors(const struct expect *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct eval_output output;
        struct err e = ERR_INIT;
        int r = run(cases[i].text, false, &output, &e);

        if (r >= 0)
            fail_msg("%s\nwas taken", cases[i].text);
        if (strncmp(e.text, cases[i].result, strlen(cases[i].result)) != 0)
            fail_msg("%s\nsays %s\nand was to say %s", cases[i].text, e.text, cases[i].result);
        assert_int_equal(r, strstr(e.text, "not supported") ? -ENOTSUP : r);
    }
}

static void test_errors(void **state)
{
    (void)state;
    check_errors(refused, ARRAY_LEN(refused));
    check_errors(failing, ARRAY_LEN(failing));
}

static void test_limits(void **state)
{
    autofree char *deep = calloc(1, 4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(endless); i++) {
        struct eval_output output;
        struct err e = ERR_INIT;
        int r = run(endless[i], false, &output, &e);

        if (r >= 0 || !strstr(e.text, "t:1:"))
            fail_msg("%s: %d %s", endless[i], r, e.text);
    }
    for (int i = 0; i < 200; i++)
        strcat(deep, "{{if 1}}");
    assert_int_equal(run(deep, false, &(struct eval_output){0}, &(struct err){0}), -EINVAL);
}

static void test_sources(void **state)
{
    static const struct expect cases[] = {
        {"{{key \"there\"}} {{file \"there\"}} {{keyExists \"there\"}} {{keyOrDefault \"none\" "
         "\"d\"}} "
         "{{keyOrDefault \"there\" \"d\"}} {{keyExists \"none\"}}",
         "found found true d found false"},
        {"{{with secret \"there\"}}{{.Data.data.pw}}{{end}} {{range secrets \"there\"}}{{.}} "
         "{{end}}",
         "geheim x y/ "},
        {"{{range ls \"there\"}}{{.Key}}={{.Value}};{{end}} {{range tree \"there\"}}{{.Key}} "
         "{{end}}",
         "a=1; a d/b "},
        {"{{(tree \"there\" | explode).d.b}} {{range $k, $v := tree \"there\" | "
         "byKey}}{{$k}}:{{$v.b.Value}}"
         "{{end}} {{len (ls \"none\")}}",
         "2 d:2 0"},
        {"{{with nomadVar \"there\"}}{{.k}}{{end}} {{nomadVarExists \"there\"}} {{range "
         "nomadVarList "
         "\"there\"}}{{.Path}}{{end}}",
         "v true a/b"},
    };

    (void)state;
    check(cases, ARRAY_LEN(cases));
}

/* All that is missing is found in one run, and errors that may come of it do not hide it. */
static void test_missing(void **state)
{
    struct eval_output output;
    struct err e = ERR_INIT;
    char all[512] = "";

    (void)state;
    assert_int_equal(
        run("{{$there := 1}}{{key \"a\"}}{{with secret \"b\"}}{{.Data.x}}{{end}}{{file \"c\"}}"
            "{{key \"a\"}}{{safeLs \"d\"}}{{nomadVar \"e\"}}{{key \"f\" | parseInt | divide 0}}",
            false, &output, &e),
        0);
    for (size_t i = 0; i < json_array_size(output.missing); i++) {
        strcat(all, json_string_value(json_array_get(output.missing, i)));
        strcat(all, " ");
    }
    assert_string_equal(all, "kv.block(a) vault.read(b) file(c) kv.list(d) nomad.var.block(e) "
                             "kv.block(f) ");
    eval_output_deinit(&output);
    assert_int_equal(run("{{$there := 1}}{{key \"broken\"}}", false, &output, &e), -EIO);
    assert_string_equal(e.text, "t:1:18: key: the server is gone");
}

static void test_strict(void **state)
{
    struct eval_output output;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(run("{{with parseJSON `{\"a\":1}`}}{{.b}}{{end}}", true, &output, &e),
                     -EINVAL);
    assert_string_equal(e.text, "t:1:31: the map has no key \"b\"");
}

static void test_delimiters(void **state)
{
    struct tmpl_options options = {.left = "<<", .right = ">>"};
    const char text[] = "{{a}} <<- 1 -->>\n<< \"x\" ->> y<</* c */>>";
    struct eval_input input = {.now_ns = 1};
    struct eval_output output;
    struct err e = ERR_INIT;
    struct tmpl *tmpl;

    (void)state;
    assert_int_equal(tmpl_parse("t", text, strlen(text), &options, &tmpl, &e), -EINVAL);
    assert_string_equal(e.text, "t:1:13: there is no \"-\" in templates' actions");
    assert_int_equal(tmpl_parse("t", "{{a}} <<- 1 ->>\n<<2>>", 21, &options, &tmpl, &e), 0);
    assert_int_equal(eval_run(tmpl, &input, &output, &e), 0);
    assert_string_equal(output.text, "{{a}}12");
    eval_output_deinit(&output);
    tmpl_free(tmpl);
}

/* Bytes of any kind go through unchanged, and where they cannot, the error says so. */
static void test_bytes(void **state)
{
    const char text[] = "a\0b\xff{{\"x\\x00y\"}}";
    struct eval_input input = {.now_ns = 1};
    struct eval_output output;
    struct tmpl *tmpl;

    (void)state;
    assert_int_equal(tmpl_parse("t", text, sizeof(text) - 1, NULL, &tmpl, NULL), 0);
    assert_int_equal(eval_run(tmpl, &input, &output, NULL), 0);
    assert_int_equal(output.size, 7);
    assert_memory_equal(output.text, "a\0b\xffx\0y", 7);
    eval_output_deinit(&output);
    tmpl_free(tmpl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_sources),
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_strict),
        cmocka_unit_test(test_delimiters), cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
