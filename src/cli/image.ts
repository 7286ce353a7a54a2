/** `image`: the verbs about images. */
import type { Command } from 'commander';
import { addImageExport } from './image-export.ts';
import { addImageHistory } from './image-history.ts';
import { addImageImport } from './image-import.ts';
import { addImageInspect } from './image-inspect.ts';
import { addImageLs } from './image-ls.ts';
import { addImagePrune } from './image-prune.ts';
import { addImageRm } from './image-rm.ts';
import { addImageTag } from './image-tag.ts';
import { addImageTree } from './image-tree.ts';
import { addImageVerify } from './image-verify.ts';
import type { Shell } from './shell.ts';

export function addImage(program: Command, shell: Shell): void {
  const group = program.command('image').description('images: import, see, check, name, remove').helpCommand(false);
  addImageImport(group, shell);
  addImageLs(group, shell);
  addImageInspect(group, shell);
  addImageHistory(group, shell);
  addImageTree(group, shell);
  addImageVerify(group, shell);
  addImageTag(group, shell);
  addImageRm(group, shell);
  addImagePrune(group, shell);
  addImageExport(group, shell);
}
