"""Names and symmetries of the 478 landmarks and 52 blendshapes, MediaPipe's order; left and right are the person's."""

from __future__ import annotations

import numpy as np

PLAIN_NAMES: dict[str, str] = {
    "_neutral": "no action",
    "browDownLeft": "left brow lowered",
    "browDownRight": "right brow lowered",
    "browInnerUp": "inner brows raised",
    "browOuterUpLeft": "left outer brow raised",
    "browOuterUpRight": "right outer brow raised",
    "cheekPuff": "cheeks puffed",
    "cheekSquintLeft": "left cheek raised",
    "cheekSquintRight": "right cheek raised",
    "eyeBlinkLeft": "left eye closed",
    "eyeBlinkRight": "right eye closed",
    "eyeLookDownLeft": "left eye looks down",
    "eyeLookDownRight": "right eye looks down",
    "eyeLookInLeft": "left eye looks towards the nose",
    "eyeLookInRight": "right eye looks towards the nose",
    "eyeLookOutLeft": "left eye looks outwards",
    "eyeLookOutRight": "right eye looks outwards",
    "eyeLookUpLeft": "left eye looks up",
    "eyeLookUpRight": "right eye looks up",
    "eyeSquintLeft": "left eye narrowed",
    "eyeSquintRight": "right eye narrowed",
    "eyeWideLeft": "left eye opened wide",
    "eyeWideRight": "right eye opened wide",
    "jawForward": "jaw pushed forward",
    "jawLeft": "jaw moved left",
    "jawOpen": "jaw open",
    "jawRight": "jaw moved right",
    "mouthClose": "lips closed over an open jaw",
    "mouthDimpleLeft": "left mouth corner pulled in",
    "mouthDimpleRight": "right mouth corner pulled in",
    "mouthFrownLeft": "left mouth corner down",
    "mouthFrownRight": "right mouth corner down",
    "mouthFunnel": "lips rounded open",
    "mouthLeft": "mouth moved left",
    "mouthLowerDownLeft": "left lower lip down",
    "mouthLowerDownRight": "right lower lip down",
    "mouthPressLeft": "left lips pressed together",
    "mouthPressRight": "right lips pressed together",
    "mouthPucker": "lips puckered",
    "mouthRight": "mouth moved right",
    "mouthRollLower": "lower lip rolled in",
    "mouthRollUpper": "upper lip rolled in",
    "mouthShrugLower": "chin raised, lower lip pushed up",
    "mouthShrugUpper": "upper lip pushed up",
    "mouthSmileLeft": "left mouth corner up",
    "mouthSmileRight": "right mouth corner up",
    "mouthStretchLeft": "left mouth corner stretched sideways",
    "mouthStretchRight": "right mouth corner stretched sideways",
    "mouthUpperUpLeft": "left upper lip raised",
    "mouthUpperUpRight": "right upper lip raised",
    "noseSneerLeft": "nose wrinkled on the left",
    "noseSneerRight": "nose wrinkled on the right",
}
"""Each blendshape in words a visitor understands; the keys are in the network's order."""

BLENDSHAPE_NAMES: tuple[str, ...] = tuple(PLAIN_NAMES)


def _mirrored(name: str) -> str:
    if name.endswith("Left"):
        return name[: -len("Left")] + "Right"
    if name.endswith("Right"):
        return name[: -len("Right")] + "Left"
    return name


MIRRORED_BLENDSHAPES = np.array([BLENDSHAPE_NAMES.index(_mirrored(name)) for name in BLENDSHAPE_NAMES])
"""(52,) index of each blendshape's partner when the picture is mirrored."""

IRIS_RIGHT, IRIS_LEFT = 468, 473
"""Centres of the person's right and left iris: right is on the left of the picture."""

# Found by matching the mean frontal shape of 7,000 labelled faces with its own mirror image (Hungarian assignment).
MIRRORED_LANDMARKS = np.array(
    """
0 1 2 248 4 5 6 249 8 9 10 11 12 13 14 15 16 17 18 19 250 251 252 253 254 255 256 257 258 259 260 261 262 263
264 265 266 267 268 269 270 271 272 273 274 275 276 277 278 279 280 281 282 283 284 285 286 287 288 289 290 291
292 293 294 295 296 297 298 299 300 301 302 303 304 305 306 307 308 309 310 311 312 313 314 315 316 317 318 319
320 321 322 323 94 324 325 326 327 328 329 330 331 332 333 334 335 336 337 338 339 340 341 342 343 344 345 346
347 348 349 350 351 352 353 354 355 356 357 358 359 360 361 362 363 364 365 366 367 368 369 370 371 372 373 374
375 376 377 378 379 151 152 380 381 382 383 384 385 386 387 388 389 390 164 391 392 393 168 394 395 396 397 398
399 175 400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415 416 417 418 195 419 197 420 199 200 421
422 423 424 425 426 427 428 429 430 431 432 433 434 435 436 437 438 439 440 441 442 443 444 445 446 447 448 449
450 451 452 453 454 455 456 457 458 459 460 461 462 463 464 465 466 467 3 7 20 21 22 23 24 25 26 27 28 29 30 31
32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68
69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 95 96 97 98 99 100 101 102 103 104
105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 122 123 124 125 126 127 128 129 130 131 132
133 134 135 136 137 138 139 140 141 142 143 144 145 146 147 148 149 150 153 154 155 156 157 158 159 160 161 162
163 165 166 167 169 170 171 172 173 174 176 177 178 179 180 181 182 183 184 185 186 187 188 189 190 191 192 193
194 196 198 201 202 203 204 205 206 207 208 209 210 211 212 213 214 215 216 217 218 219 220 221 222 223 224 225
226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 473 476 475 474 477 468
471 470 469 472
    """.split(),
    dtype=np.int64,
)
"""(478,) index of each landmark's partner when the picture is mirrored."""
