//! The directories in which a change can make a path lead to another file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Returns every directory in which a change can make `path` lead to another file: the directory of each symbolic link on the way,
/// the directory of the file, and `path` itself if it is a directory. If a part of the path is missing, the last directory that
/// exists. `path` must be absolute.
pub(super) fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest: Vec<Step> = steps(path);
    rest.reverse();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(step) = rest.pop() {
        let name = match step {
            Step::Root => {
                at = PathBuf::from("/");
                continue;
            }
            Step::Up => {
                at.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        let next = at.join(name);
        let Ok(metadata) = fs::symlink_metadata(&next) else {
            found.insert(at);
            return found;
        };
        if metadata.is_symlink() {
            found.insert(at.clone());
            links += 1;
            let Ok(target) = fs::read_link(&next) else { return found };
            if links > MAX_LINKS {
                return found;
            }
            rest.extend(steps(&target).into_iter().rev());
            continue;
        }
        if rest.is_empty() {
            found.insert(at.clone());
            if metadata.is_dir() {
                found.insert(next.clone());
            }
        }
        at = next;
    }
    found
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> Vec<Step> {
    let step = |component: Component<'_>| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.into())),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(step).collect()
}

/// Maximum number of symbolic links, as in Linux (path_resolution(7)).
const MAX_LINKS: u32 = 40;
