use super::*;

impl LineFile {
    pub(in crate::log_output) fn of(path: PathBuf, file: File, torn: bool) -> Self {
        Self { path, file, torn, rotation: None, retry_at: None }
    }
}

#[test]
fn what_can_be_opened_is_known_before() {
    let dir = tempfile::tempdir().unwrap();
    let (new, old) = (dir.path().join("new"), dir.path().join("old"));
    fs::write(&old, "x").unwrap();
    can_open(&new).unwrap();
    can_open(&old).unwrap();
    assert!(!new.exists() && fs::read(&old).unwrap() == b"x");
    for bad in [dir.path().to_owned(), dir.path().join("a/b"), old.join("b")] {
        assert!(can_open(&bad).is_err() && open(&bad).is_err(), "{}", bad.display());
    }
}

const ROTATION: Rotation = Rotation { size: 20, keep: 2 };

/// Adds a line of ten bytes.
fn add(file: &mut LineFile, number: u32) -> Rotated {
    let line = format!("line {number:04}\n");
    let rotated = file.make_room(line.as_bytes());
    let (result, written) = file.write(line.as_bytes());
    result.unwrap();
    assert_eq!(written, line.len());
    rotated
}

/// Returns the numbers in a file.
fn numbers(path: &Path) -> Vec<u32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_yes(rotated: &Rotated) -> bool {
    matches!(rotated, Rotated::Yes)
}

#[test]
fn r69_a_full_file_is_rotated_and_the_oldest_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut file = LineFile::open(&at("audit"), Some(ROTATION)).unwrap();
    fs::set_permissions(at("audit"), Permissions::from_mode(0o640)).unwrap();
    // Left behind by a killed process, before it renamed anything, and before its end.
    fs::write(at("audit.new"), "x").unwrap();
    fs::hard_link(at("audit"), at("audit.1")).unwrap();
    let rotated: Vec<_> = (1..=8).map(|number| is_yes(&add(&mut file, number))).collect();
    assert_eq!(rotated, [false, false, true, false, true, false, true, false]);
    assert_eq!(names(dir.path()), ["audit", "audit.1", "audit.2"]);
    assert_eq!(numbers(&at("audit.2")), [3, 4]);
    assert_eq!(numbers(&at("audit.1")), [5, 6]);
    assert_eq!(numbers(&at("audit")), [7, 8]);
    assert_eq!(fs::metadata(at("audit")).unwrap().mode() & 0o777, 0o640, "the mode of the one before");
    // One old file only, and no higher number is touched.
    file.set_rotation(Some(Rotation { size: 20, keep: 1 }));
    assert!(is_yes(&add(&mut file, 9)));
    assert_eq!((numbers(&at("audit.1")), numbers(&at("audit.2"))), (vec![7, 8], vec![3, 4]));
    file.set_rotation(None);
    for number in 10..20 {
        assert!(!is_yes(&add(&mut file, number)));
    }
    assert_eq!(numbers(&at("audit")).len(), 11);
    // A line that is larger than the file: never an empty old file.
    file.set_rotation(Some(Rotation { size: 5, keep: 9 }));
    assert!(is_yes(&add(&mut file, 20)) && is_yes(&add(&mut file, 21)));
    assert_eq!((numbers(&at("audit")), numbers(&at("audit.1"))), (vec![21], vec![20]));
}

#[test]
fn r69_root_gives_the_new_file_to_the_owner_of_the_old_one() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let mut file = LineFile::open(&path, Some(ROTATION)).unwrap();
    std::os::unix::fs::chown(&path, Some(4711), Some(4712)).unwrap();
    (1..=3).for_each(|number| drop(add(&mut file, number)));
    let new = fs::metadata(&path).unwrap();
    assert_eq!((new.len(), new.uid(), new.gid()), (10, 4711, 4712));
}

#[test]
fn r69_two_writers_of_a_file_rotate_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let mut one = LineFile::open(&path, Some(Rotation { size: 20, keep: 9 })).unwrap();
    let mut other = LineFile::open(&path, Some(Rotation { size: 20, keep: 9 })).unwrap();
    assert!(!is_yes(&add(&mut one, 1)) && !is_yes(&add(&mut other, 2)));
    // The first one rotates, the other one finds another file with room.
    assert!(is_yes(&add(&mut one, 3)) && !is_yes(&add(&mut other, 4)));
    assert!(is_yes(&add(&mut other, 5)) && !is_yes(&add(&mut one, 6)));
    assert_eq!(names(dir.path()), ["audit", "audit.1", "audit.2"]);
    assert_eq!(numbers(&dir.path().join("audit.1")), [3, 4]);
    // While another process has the lock.
    let lock = File::open(&path).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(!is_yes(&add(&mut one, 7)));
    drop(lock);
    assert!(is_yes(&add(&mut one, 8)));
    // The other one was faster between the check of the name and the lock.
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    assert!(!one.rotate(9).unwrap());
    assert!(!is_yes(&add(&mut one, 9)));
    assert_eq!(numbers(&path), [9]);
    // All at once.
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut file = LineFile::open(&path, Some(Rotation { size: 1000, keep: 50 })).unwrap();
                (0..500).filter(|number| is_yes(&add(&mut file, 1000 + writer * 1000 + number))).count()
            })
        })
        .collect();
    let rotated: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    // While one has the lock, the others go on writing: there are fewer rotations on a busy machine, and never
    // more.
    assert!((2..=25).contains(&rotated), "{rotated}");
    let all = names(dir.path());
    let mut seen: Vec<_> = all.iter().flat_map(|name| numbers(&dir.path().join(name))).filter(|n| *n >= 1000).collect();
    seen.sort_unstable();
    let expected: Vec<_> = (0..4).flat_map(|writer| (0..500).map(move |n| 1000 + writer * 1000 + n)).collect();
    assert_eq!(seen, expected, "no line is lost, and none is there twice");
}

#[test]
fn r69_what_cannot_be_rotated_goes_on_growing_and_no_old_file_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut file = LineFile::open(&at("audit"), Some(ROTATION)).unwrap();
    fs::write(at("audit.1"), "line 0000\n").unwrap();
    // A directory with a file in it is in the way, even for root.
    fs::create_dir_all(at("audit.2/x")).unwrap();
    let rotated: Vec<_> = (1..=4).map(|number| add(&mut file, number)).collect();
    assert!(matches!(rotated[2], Rotated::Failed(_)), "{rotated:?}");
    assert!(matches!(rotated[3], Rotated::No), "not tried again at once: {rotated:?}");
    assert_eq!((numbers(&at("audit")), numbers(&at("audit.1"))), (vec![1, 2, 3, 4], vec![0]));
    assert_eq!(names(dir.path()), ["audit", "audit.1", "audit.2"]);
    file.reopen();
    assert!(matches!(add(&mut file, 5), Rotated::Failed(_)));
    fs::remove_dir_all(at("audit.2")).unwrap();
    file.reopen();
    assert!(is_yes(&add(&mut file, 6)));
    assert_eq!(numbers(&at("audit.1")), [1, 2, 3, 4, 5]);
    assert_eq!((numbers(&at("audit.2")), numbers(&at("audit"))), (vec![0], vec![6]));
}

#[test]
fn r69_a_link_and_a_device_stay_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("far")).unwrap();
    std::os::unix::fs::symlink("far/real", at("audit")).unwrap();
    let mut file = LineFile::open(&at("audit"), Some(ROTATION)).unwrap();
    (1..=3).for_each(|number| drop(add(&mut file, number)));
    assert!(fs::symlink_metadata(at("audit")).unwrap().is_symlink());
    assert_eq!(names(&at("far")), ["real", "real.1"]);
    assert_eq!(numbers(&at("audit")), [3]);
    let mut null = LineFile::open(Path::new("/dev/null"), Some(ROTATION)).unwrap();
    assert!((1..=9).all(|number| matches!(add(&mut null, number), Rotated::No)));
    can_rotate(Path::new("/dev/null")).unwrap();
    can_rotate(&at("audit")).unwrap();
}

#[test]
fn r69_a_directory_without_the_right_to_write_is_known_before() {
    // Root may.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let mut file = LineFile::open(&path, Some(ROTATION)).unwrap();
    can_rotate(&path).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o500)).unwrap();
    assert!(can_rotate(&path).is_err());
    let rotated: Vec<_> = (1..=3).map(|number| add(&mut file, number)).collect();
    assert!(matches!(rotated[2], Rotated::Failed(_)), "{rotated:?}");
    assert_eq!(numbers(&path), [1, 2, 3]);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
}
