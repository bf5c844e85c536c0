//! `--print-config`: settings that `dnsbld check` finds right and that name the same files.

use std::process::Command;

use super::Place;

#[test]
fn printed_settings_are_good_ones() {
    let place = Place::new(&[("a", "127.0.0.2\n"), ("b", "test\n"), ("c", "127.0.0.2\n"), ("d", "::/0 :pass\n")]);
    let dir = place.dir.path().display().to_string();
    let line = format!(
        "--print-config -n -e -C -a -v -c 5m -t 600:60:3600 -b BIND -b ::1/{} -w {dir} -l +log -u nobody \
         BL.example:ip4set:a,c x.example:dnset:b bl.example:dnset:b :acl:d x.example:acl:d",
        place.dns.port()
    );
    let (status, out, err) = place.start("./rbldnsd", &line).end();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    for expected in [
        &format!("listen = [\"{}\", \"[::1]:{}\"]", place.dns, place.dns.port()),
        "authority = \"minimal\"",
        "any = \"full\"",
        "version = \"rbldnsd\"",
        "poll-s = 300",
        "name = \"bl.example\"",
        "ttl = 600",
        "ttl-min = 60",
        "ttl-max = 3600",
        &format!("  {{ type = \"ip4set\", files = [\"{dir}/a\", \"{dir}/c\"], mask-host-bits = true, gzip = false }},"),
        &format!("  {{ type = \"dnset\", files = [\"{dir}/b\"], mask-host-bits = true, gzip = false }},"),
        &format!("files = [\"{dir}/d\"]"),
        &format!("  {{ type = \"acl\", files = [\"{dir}/d\"], mask-host-bits = true, gzip = false }},"),
        "name = \"x.example\"",
        "# -l \"log\": under rbldnsd's command line only; metrics are at [http].",
    ] {
        assert!(out.lines().any(|line| line == expected), "{expected}\n{out}");
    }
    assert_eq!(out.matches("[[zone]]").count(), 2, "{out}");
    let file = place.path("dnsbld.toml");
    std::fs::write(&file, out).unwrap();
    let check = Command::new(env!("CARGO_BIN_EXE_dnsbld")).arg("check").arg("--config").arg(&file).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

#[test]
fn a_chroot_is_part_of_the_names() {
    let place = Place::new(&[]);
    let (status, out, _) =
        place.start("./rbldnsd", "--print-config -b BIND -r /srv/list -w /zones x:ip4set:a,/other/b").end();
    assert_eq!(status.code(), Some(0));
    assert!(out.contains("files = [\"/srv/list/zones/a\", \"/srv/list/other/b\"]"), "{out}");
}

#[test]
fn what_is_wrong_is_said() {
    let place = Place::new(&[]);
    let (status, out, err) = place.start("./rbldnsd", "--print-config -b BIND x:foo:a").end();
    assert_eq!((status.code(), out.as_str(), err.as_str()), (Some(1), "", "rbldnsd: unknown dataset type `foo'\n"));
}
