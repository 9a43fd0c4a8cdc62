locals {
  n = yamldecode("a: &x [1, yes]\nb: *x\n")
  c = csvdecode("a,b\n1,\"x,\"\"y\"\n")
}
a = try(1 / 0, local.n.c, [for k, v in {b = 1, a = 2} : "${k}${v}"])
b = can(local.c[0].z) ? 1 : convert([1, "2"], set(string))
c = regex_replace("a.b", "(?P<n>[a-z])\\.", "$${n}-")
d = [cidrsubnets("10.0.0.0/8", 4, 8), cidrhost("fd00::/64", -2), cidrsubnet("10.0.0.0/8", 8, 3), cidrnetmask("10.0.0.0/8")]
e = formatdate("EEEE, DD-MMM-YY hh:mm:ss 'o''clock' ZZZZZ", timeadd("2018-01-02T23:12:01+01:00", "-1h30m"))
f = yamlencode({a = [1, "x\ny", null], b = {}})
g = [md5("a"), sha1("a"), sha256("a"), sha512("a"), uuidv5("dns", "a"), urlencode("a b&ä")]
h = [setproduct(["a"], [1, 2]), setunion([2], [1]), setintersection([1], ["1"]), chunklist([1, 2, 3], 2)]
i = [log(8, 2), signum(-1), strrev("aä"), reverse("ab"), index([1, 2], 1), parseint("zZ", 62), split("", "aä")]
j = jsonencode({b = "<", a = 1e21})
