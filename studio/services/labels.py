"""Answers in files: FEC's own CSV, and JSONL and Parquet with everything."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image, UnidentifiedImageError

from db import agreement
from db.errors import BrokenFile, NotThere
from db.exchange import further_faces
from db.store import Store
from db.types import FaceRow, LabelRecord, NewFace, NewPicture, NewProject, ProjectRow
from studio.services import finetuning

KINDS = {"ONE_CLASS_TRIPLET": "one_class", "TWO_CLASS_TRIPLET": "two_class", "THREE_CLASS_TRIPLET": "three_class"}
KIND_WORDS = {kind: word for word, kind in KINDS.items()} | {"unknown": "ONE_CLASS_TRIPLET"}
RATER = "fec:"
LONGEST_KEY = 500
TOLD_EVERY = 2_000
FEC_COLUMNS = 16


@dataclass(frozen=True)
class Imported:
    """What an import brought."""

    project: ProjectRow
    answers: int
    faces: int
    missing: int
    """Faces whose picture is not in the folder; their questions are kept, and not shown to anybody."""


def import_fec(
    store: Store,
    path: Path,
    *,
    project: str,
    pictures: Path | None = None,
    evaluation: bool = False,
    progress: Callable[[str], None] = lambda _words: None,
) -> Imported:
    """Read FEC's CSV into a project, made now unless it is there; raises BrokenFile with the line of a wrong row."""
    there = _index(pictures) if pictures else {}
    faces: dict[str, NewFace] = {}
    records: list[LabelRecord] = []
    asked: dict[str, int] = {}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.reader(file), start=1):
            if row:
                records += _fec_row(row, line, faces, there, asked, digest=digest, evaluation=evaluation)
            if line % TOLD_EVERY == 0:
                progress(f"{line} questions read")
    progress(f"keeping {len(records)} answers")
    made = _project_for(store, project)
    numbered = [record_with(record, answer_id=place) for place, record in enumerate(records, start=1)]
    count = store.add_labels(made.id, made.gallery_id, faces=faces, records=numbered)
    return Imported(made, count, len(faces), sum(face.picture is None for face in faces.values()))


def export_fec(store: Store, project: str, path: Path, *, cutoff: int | None = None) -> int:
    """Write FEC's CSV: one row per question, with every rater's standing choice; return the number of rows."""
    made = store.project(project)
    faces = {face.key: face for face in store.faces(made.gallery_id)}
    rows: dict[str, list[str]] = {}
    for record in store.read_labels(made.id, cutoff=cutoff):
        if record.choice != "face" or record.superseded_by is not None or record.shown_as == "repeat":
            continue
        if record.annotator_role == "visitor" or record.mode != "odd_one_out":
            continue
        three = (record.face_1, record.face_2, record.face_3)
        row = rows.setdefault(record.triplet_key, _fec_start(store, [faces[key] for key in three], record.kind))
        row += [record.annotator.removeprefix(RATER), str(three.index(record.odd_face or "") + 1)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows.values())
    return len(rows)


def export_records(store: Store, project: str, path: Path, *, cutoff: int | None = None) -> int:
    """Write every answer with everything around it to .jsonl or .parquet; return how many.

    A cutoff that a fine-tuning had brings the decisions of admins that it saw.
    """
    project_id = store.project(project).id
    until = {"cutoff": cutoff, "decided_to": _decided_to(store, project_id, cutoff)}
    if path.suffix == ".jsonl":
        count = 0
        with path.open("w", encoding="utf-8") as file:
            for count, record in enumerate(store.read_labels(project_id, **until), start=1):  # noqa: B007
                file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
        return count
    return _write_parquet(store.read_label_columns(project_id, **until), path)


def _decided_to(store: Store, project_id: int, cutoff: int | None) -> int | None:
    """Return the newest decision that the newest fine-tuning with this cutoff saw; None, for all, where none had it."""
    run = next((one for one in store.runs(project_id) if one.cutoff_answer_id == cutoff), None)
    return None if run is None else finetuning.decided_to(run)


def import_records(store: Store, path: Path, *, project: str) -> Imported:
    """Read a file that `export_records` wrote; faces are found by key, and kept without a picture where absent."""
    rows = _read_jsonl(path) if path.suffix == ".jsonl" else parquet.read_table(path).to_pylist()
    records = [_checked(row, line) for line, row in enumerate(rows, start=1)]
    made = _project_for(store, project)
    keys = {
        key
        for one in records
        for key in (
            one.face_1,
            one.face_2,
            one.face_3,
            one.gold_face,
            one.decided_face,
            one.decided_second_face,
            *further_faces(one),
        )
        if key
    }
    known = {face.key: face for face in store.faces(made.gallery_id)}
    faces = {key: NewFace(None, key=key) for key in sorted(keys)}
    count = store.add_labels(made.id, made.gallery_id, faces=faces, records=records)
    missing = sum(key not in known or known[key].sha256 is None for key in keys)
    return Imported(made, count, len(keys), missing)


def report(store: Store, project: str) -> dict[str, Any]:
    """Return how far people agree: Krippendorff's alpha, ceiling, one entry per person, the hardest questions."""
    ballots = store.read_ballots(store.project(project).id)
    _, votes = agreement.votes_by_question(ballots.where(ballots.mode == 0))
    framed, worth = agreement.framed_votes(ballots)
    names = {person.id: person.name for person in store.annotators()}
    people = [
        {"name": names[person.annotator]}
        | {name: value for name, value in asdict(person).items() if name != "annotator"}
        for person in agreement.people(ballots)
    ]
    return {
        "answers": int(ballots.firsts.sum()),
        "alpha": agreement.krippendorff_alpha(votes),
        "strong_share": agreement.strong_share(votes),
        "framed_alpha": agreement.krippendorff_alpha(framed, times=worth),
        "framed_strong_share": agreement.strong_share(framed, times=worth),
        "ceiling": agreement.leave_one_out_ceiling(ballots),
        "people": people,
        "hardest": [{"triplet": triplet, "votes": said} for triplet, said in agreement.hardest(ballots)],
    }


def record_with(record: LabelRecord, **changes: Any) -> LabelRecord:
    """Return a record with other values in some places."""
    return LabelRecord(**(asdict(record) | changes))


def _fec_row(
    row: Sequence[str],
    line: int,
    faces: dict[str, NewFace],
    there: dict[str, Path],
    asked: dict[str, int],
    *,
    digest: str,
    evaluation: bool,
) -> list[LabelRecord]:
    if len(row) < FEC_COLUMNS + 2 or len(row) % 2:
        raise BrokenFile(f"a row has 16 columns and pairs of rater and choice, this one has {len(row)}", line=line)
    if row[15] not in KINDS:
        raise BrokenFile(f"column 16 must be one of {', '.join(KINDS)}, it is {row[15]!r}", line=line)
    keys = [_fec_face(row[start : start + 5], line, faces, there) for start in (0, 5, 10)]
    votes = list(zip(row[16::2], row[17::2], strict=True))
    joined = "|".join(keys)
    asked[joined] = asked.get(joined, 0) + 1
    triplet_key = f"fec:{hashlib.sha256(joined.encode()).hexdigest()[:40]}#{asked[joined]}"
    passes: dict[str, int] = {}
    records = []
    for rater, choice in votes:
        if choice not in {"1", "2", "3"} or not rater:
            raise BrokenFile(f"a choice is 1, 2 or 3 after a rater's id, found {rater!r}, {choice!r}", line=line)
        passes[rater] = passes.get(rater, -1) + 1
        records.append(
            LabelRecord(
                answer_id=0, triplet_key=triplet_key, mode="odd_one_out", kind=KINDS[row[15]],
                purpose="evaluation" if evaluation else "train", sampler="import", score=None, model_run_id=None,
                wanted=len(votes), face_1=keys[0], face_2=keys[1], face_3=keys[2], gold_face=None, explanation=None,
                annotator=RATER + rater, annotator_role="imported", annotator_state="active",
                pass_number=passes[rater], shown_as="import", counted=True, display_order="123", leased_ms=0,
                revision=0, choice="face", odd_face=keys[int(choice) - 1], reason=None, response_ms=None, client=None,
                client_key=f"{digest}:{line}:{rater}:{passes[rater]}", superseded_by=None, created_ms=0,
            )
        )  # fmt: skip
    return records


def _fec_face(cells: Sequence[str], line: int, faces: dict[str, NewFace], there: dict[str, Path]) -> str:
    url, *sides = cells
    try:
        left, right, top, bottom = (float(side) for side in sides)
    except ValueError as error:
        raise BrokenFile(f"a face box is four numbers, found {', '.join(sides)}", line=line) from error
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1) or not url:
        raise BrokenFile(f"a face has an address and left < right, top < bottom within 0..1, found {cells}", line=line)
    key = f"{url}#{','.join(sides)}"
    key = key if len(key) <= LONGEST_KEY else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    if key not in faces:
        picture = _picture(there.get(_file_name(url)))
        box = None
        if picture is not None:
            across, down = picture.width, picture.height
            box = {"left": left * across, "right": right * across, "top": top * down, "bottom": bottom * down}
        faces[key] = NewFace(picture, box=box, key=key, provenance={"url": url, "box": list(sides)})
    return key


def _fec_start(store: Store, faces: Sequence[FaceRow], kind: str) -> list[str]:
    cells: list[str] = []
    for face in faces:
        if "url" in face.provenance:
            cells += [face.provenance["url"], *face.provenance["box"]]
        else:
            cells += [f"sha256:{face.sha256}" if face.sha256 else face.key, *_fractions(store, face)]
    return [*cells, KIND_WORDS[kind]]


def _fractions(store: Store, face: FaceRow) -> list[str]:
    if face.box is None:
        return ["0", "1", "0", "1"]
    try:
        picture = store.picture(face.id)
    except NotThere:
        return ["0", "1", "0", "1"]
    sides = (("left", picture.width), ("right", picture.width), ("top", picture.height), ("bottom", picture.height))
    return [f"{min(max(face.box[side] / size, 0.0), 1.0):.6g}" for side, size in sides]


def _index(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}


def _file_name(url: str) -> str:
    return Path(unquote(urlsplit(url).path)).name


def _picture(path: Path | None) -> NewPicture | None:
    if path is None:
        return None
    try:
        with Image.open(path) as opened:
            width, height = opened.size
            media_type = opened.get_format_mimetype() or "image/jpeg"
    except (UnidentifiedImageError, OSError):
        return None
    return NewPicture(
        hashlib.sha256(path.read_bytes()).hexdigest(), media_type, width, height, path=str(path.resolve())
    )


def _project_for(store: Store, name: str) -> ProjectRow:
    try:
        return store.project(name)
    except NotThere:
        gallery = store.add_gallery(f"{name} faces", credit="as imported", licence="as imported", source="import")
        return store.add_project(NewProject(name, gallery.id, ""))


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            try:
                yield json.loads(text)
            except json.JSONDecodeError as error:
                raise BrokenFile(f"not JSON: {error.msg}", line=line) from error


def _checked(row: Any, line: int) -> LabelRecord:
    names = {field.name for field in fields(LabelRecord)}
    newer = {field.name for field in fields(LabelRecord) if field.default is None}
    if not isinstance(row, dict) or set(row) | newer != names:
        odd = sorted(names ^ (set(row) | newer)) if isinstance(row, dict) else [type(row).__name__]
        raise BrokenFile(f"columns do not match: {', '.join(odd)}", line=line)
    record = LabelRecord(**row)
    faces = (record.face_1, record.face_2, record.face_3, *further_faces(record))
    if (record.choice == "face") != (record.odd_face in faces):
        raise BrokenFile(f"the chosen face {record.odd_face!r} is not one of those shown", line=line)
    if (record.choice == "face" and record.mode == "grid") != (record.second_face in faces):
        raise BrokenFile(f"the second chosen face {record.second_face!r} is not one of those shown", line=line)
    two = record.decided == "face" and record.mode == "grid"
    if (record.decided == "face") != (record.decided_face in faces) or two != (record.decided_second_face in faces):
        raise BrokenFile("what was decided about this question is not one of its faces", line=line)
    return record


def _write_parquet(batches: Iterable[dict[str, Sequence[Any]]], path: Path) -> int:
    schema = arrow.schema([arrow.field(field.name, _arrow_type(str(field.type))) for field in fields(LabelRecord)])
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for columns in batches:
            table = arrow.Table.from_pydict(dict(columns), schema=schema)
            writer.write_table(table)
            count += len(table)
        if not count:
            writer.write_table(schema.empty_table())
    return count


def _arrow_type(annotation: str) -> arrow.DataType:
    kinds = {"int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_(), "str": arrow.string()}
    return kinds[annotation.split(" ")[0]]
